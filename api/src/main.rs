//! The binary `cairn`.
use std::process::ExitCode;

/// A command is many small allocations, freed by another thread than made them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cairn_api::cli::main()
}
