"""The subcommands of `inter2former`, one module each: `HELP`, `add_arguments(parser)`, `run(args) -> exit status`."""
