//! `cargo xtask guide`: types what a page tells a newcomer to type, against a live server, and compares what comes back with what it shows.
use crate::client::workbench;
use crate::live::Live;
use crate::page::{Page, differs};
use crate::run::{root, say, target};
use crate::setup::{self, JAVASCRIPT, NEWCOMER};
use crate::{Failure, test};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

const PAGE: &str = "docs/guides/api.md";
const SECTION: &str = "A newcomer's path";
/// What comes between the outputs of two blocks.
const MARK: &str = "=== block of line ";
/// Longer than any page takes, in seconds.
const PATIENCE: &str = "600";

pub fn guide(arguments: &[String]) -> Result<(), Failure> {
    if let Some(word) = arguments.first() {
        return Err(format!("{word} is not understood: guide takes nothing"));
    }
    if !test::nodes_are_real()? {
        say("skipped: nobody logs in to a scripted node, and a real one needs root");
        return Ok(());
    }
    setup::require(&[&JAVASCRIPT, &NEWCOMER])?;
    let text = fs::read_to_string(root().join(PAGE)).map_err(|error| format!("{PAGE}: {error}"))?;
    let page = Page::read(&text, SECTION).map_err(|why| format!("{PAGE}: {why}"))?;
    let bench = workbench()?;
    for (name, text) in &page.files {
        let file = bench.join(name);
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let live = Live::start("guide")?;
    let script = target().join("guide.sh");
    // A session goes over plain HTTP to this name only.
    let url = live.url.replace("127.0.0.1", "localhost");
    let places =
        [("CAIRN_URL", url), ("LETTERS", shown(&live.letters())), ("CLIENT", shown(&bench))];
    say(&format!("typing the {} blocks of {PAGE}", page.blocks.len()));
    let found = follow(&page, &script, &places);
    for (name, _) in &page.files {
        let _ = fs::remove_file(bench.join(name));
    }
    found.map_err(|why| format!("{PAGE}: {why}"))?;
    say("every command of the page works, and answers what the page shows");
    Ok(())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Runs the blocks in one shell, one after another, and compares.
fn follow(page: &Page, script: &Path, places: &[(&str, String)]) -> Result<(), Failure> {
    let mut text = String::from("set -euo pipefail\n");
    for block in &page.blocks {
        text += &format!("printf '%s\\n' '{MARK}{}'\n{}", block.line, block.commands);
    }
    fs::write(script, text).map_err(|error| format!("{}: {error}", script.display()))?;
    let mut shell = Command::new("timeout");
    shell.args([PATIENCE, "bash"]).arg(script).current_dir(root()).stdin(Stdio::null());
    shell.envs(places.iter().map(|(name, value)| (name, value))).stderr(Stdio::inherit());
    let said = shell.output().map_err(|error| format!("bash: {error}"))?;
    let said_text = String::from_utf8_lossy(&said.stdout);
    let outputs: Vec<&str> = said_text.split(MARK).skip(1).collect();
    for (block, output) in page.blocks.iter().zip(&outputs) {
        let output = output.split_once('\n').map_or("", |(_, output)| output);
        let is_last = block.line == page.blocks.get(outputs.len() - 1).map_or(0, |last| last.line);
        if is_last && !said.status.success() {
            return Err(format!(
                "line {}: a command failed ({}): {output}",
                block.line, said.status
            ));
        }
        if let Some(why) = differs(&block.shown, output) {
            return Err(format!("line {}: {why}", block.line));
        }
    }
    if said.status.success() { Ok(()) } else { Err(format!("bash: {}", said.status)) }
}

#[cfg(test)]
mod tests {
    use super::{Page, follow};

    fn followed(commands: &str, shown: &str) -> Result<(), String> {
        let text = format!(
            "## A\n```sh\nworld=moon\n```\n```sh\n{commands}\n```\n```text\n{shown}\n```\n## B\n"
        );
        let directory = std::env::temp_dir();
        let script = directory.join(format!("guide-{}-{}.sh", std::process::id(), commands.len()));
        let found = follow(&Page::read(&text, "A").unwrap(), &script, &[]);
        let _ = std::fs::remove_file(script);
        found
    }

    #[test]
    fn a_page_holds_when_its_commands_work_and_answer_what_it_shows() {
        assert_eq!(followed("echo \"hello $world\"", "hello moon"), Ok(()));
        assert_eq!(followed("echo hello ${world}_17", "hello moon_…"), Ok(()));
        let other = followed("echo  hello sun", "hello moon").unwrap_err();
        assert!(other.contains("line 5") && other.contains("hello sun"), "{other}");
        let failed = followed("echo hello moon; false", "hello moon").unwrap_err();
        assert!(failed.starts_with("line 5: a command failed"), "{failed}");
        let misspelt = followed("echo hello moon | gerp h", "hello moon").unwrap_err();
        assert!(misspelt.starts_with("line 5: a command failed"), "{misspelt}");
        assert!(followed("echo 'hello $wrold'\"$wrold\"", "hello moon").is_err());
    }
}
