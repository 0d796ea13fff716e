//! The binary `cairn`.
use std::process::ExitCode;

fn main() -> ExitCode {
    cairn_api::cli::main()
}
