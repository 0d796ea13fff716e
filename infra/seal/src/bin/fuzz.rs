//! `cairn-seal-fuzz --count N --clean M --seed S`: tampers with sealed logs and counts what is found. `cargo xtask fuzz seal` runs it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks")]
use std::process::ExitCode;

use cairn_seal::mutation::programme;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match options(&words) {
        Ok((count, clean, seed)) => run(count, clean, seed),
        Err(why) => {
            eprintln!("{why}\nusage: cairn-seal-fuzz [--count N] [--clean N] [--seed N]");
            ExitCode::from(2)
        }
    }
}

fn options(words: &[String]) -> Result<(usize, usize, u64), String> {
    let (mut count, mut clean, mut seed) = (10_000, 1_000, 1);
    for pair in words.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} needs a number", pair[0])) };
        let number: u64 = value.parse().map_err(|_| format!("{name} '{value}' is not a number"))?;
        let size = usize::try_from(number).map_err(|_| format!("{name} {value} is too much"))?;
        match name.as_str() {
            "--count" => count = size,
            "--clean" => clean = size,
            "--seed" => seed = number,
            _ => return Err(format!("there is no option {name}")),
        }
    }
    Ok((count, clean, seed))
}

fn run(count: usize, clean: usize, seed: u64) -> ExitCode {
    let tally = programme(count, clean, seed);
    println!("{:<20} {:>8} {:>20}", "tampering", "done", "found at position");
    for (name, (done, found)) in &tally.found {
        println!("{name:<20} {done:>8} {found:>20}");
    }
    let found: usize = tally.found.values().map(|(_, found)| found).sum();
    println!("seed {seed}: {count} mutations, {found} found at the exact position");
    println!("{} clean verifications, {} alarms", tally.clean, tally.false_alarms);
    tally.failures.iter().for_each(|failure| eprintln!("{failure}"));
    ExitCode::from(u8::from(found != count || tally.false_alarms > 0))
}
