//! The command line's door: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    msn_handoff::cli::main()
}
