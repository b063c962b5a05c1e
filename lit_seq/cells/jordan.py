"""The Jordan network's hidden layer."""

from lit_seq.cells.feed_forward import FeedForward


class Jordan(FeedForward):
    """Jordan network: recurrence from the output only, so that teacher forcing trains all steps in parallel.

        h_t = φ(W x_t + U y_{t-1} + b)
        y_t = ψ(V h_t + c)

    Jordan 1986 (ICS report 8604), without the decaying trace of older outputs; Goodfellow, Bengio & Courville
    2016, fig. 10.4. The cell is the first equation, with x_t and y_{t-1} side by side as its input. The
    second is the head of the topology, which also brings the output back: `OutputFeedback`. The hidden layer
    has no memory of its own, so where y_{t-1} is given, all steps are computed at once.

    Attributes:
        weight_input: W and U, (hidden, input + output).
        bias: b, (hidden,).

    Args:
        input_size: features of an input and of the output that is fed back.
        hidden_size: features of the hidden layer.
        activation: φ.
        input_init: how W and U are drawn.
        input_std: standard deviation of W and U where `input_init` is "normal".
    """
