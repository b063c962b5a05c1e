#include "vector.h"

extern "C" const char* instructions() { return kInstructions; }
