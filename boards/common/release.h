// What the release image leaves out: whatever could turn a text into a program, and the prompt with it.
// The record beside the image lists these, by name.

#define MICROPY_ENABLE_COMPILER (0) // parser, compiler, exec, eval, compile, and both prompts: see no_prompt.c
#define MICROPY_HELPER_REPL (0) // completes what somebody types
#define MICROPY_PY_BUILTINS_INPUT (0) // the line editor
#define MICROPY_PY_SYS_PS1_PS2 (0) // the text of the prompt
