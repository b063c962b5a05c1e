"""The one exception that means: the user can mend this."""


class UserError(Exception):
    """Wrong input. Its message is one sentence: what was wrong, where, and what is allowed.

    The command line prints the sentence without a traceback and exits with code 2.
    """
