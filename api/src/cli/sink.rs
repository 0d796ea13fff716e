//! Where a document goes: a file that is there when all of it is, or stdout.
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::exit::CliError;
use super::output::Output;
use super::seal::unreadable;

/// A document that is being written.
pub enum Sink {
    /// To whoever reads it as it comes.
    Stdout(Box<dyn Write + Send>),
    /// Beside the file that it becomes; readable by its owner alone.
    File {
        /// Its bytes so far.
        written: BufWriter<NamedTempFile>,
        /// What it becomes.
        becomes: PathBuf,
    },
}

impl Sink {
    /// To a file, or to stdout; a document that is no text goes to no terminal.
    ///
    /// # Errors
    /// When the file cannot be made, or stdout is a terminal.
    pub fn open(out: Option<&Path>, is_text: bool, output: Output) -> Result<Self, CliError> {
        let Some(out) = out else {
            readable(is_text, output.is_terminal())?;
            return Ok(Self::Stdout(Box::new(output.stream())));
        };
        if out.exists() && !out.is_file() {
            return Err(CliError::usage(format!("{} is there and no file", out.display())));
        }
        let folder = match out.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let written = NamedTempFile::new_in(folder).map_err(|error| unreadable(out, &error))?;
        Ok(Self::File { written: BufWriter::new(written), becomes: out.to_owned() })
    }

    /// Now it is there, instead of what was there before. Says so when it is a file.
    ///
    /// # Errors
    /// When it cannot be written to its end.
    pub fn finish(self, output: Output) -> Result<(), CliError> {
        match self {
            Self::Stdout(mut stdout) => Ok(stdout.flush()?),
            Self::File { written, becomes } => {
                let wrong = |error: &std::io::Error| unreadable(&becomes, error);
                let file = written.into_inner().map_err(|error| wrong(error.error()))?;
                file.persist(&becomes).map_err(|error| wrong(&error.error))?;
                output.say(&format!("written to {}", becomes.display()));
                Ok(())
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File { written, .. } => written.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File { written, .. } => written.flush(),
        }
    }
}

fn readable(is_text: bool, is_terminal: bool) -> Result<(), CliError> {
    if is_text || !is_terminal {
        return Ok(());
    }
    Err(CliError::usage(
        "this format is not for a terminal: say --out FILE, or send it on with > or |",
    ))
}

#[cfg(test)]
mod tests {
    use super::super::exit::Exit;
    use super::super::output::{Format, Output};
    use super::{Sink, Write as _, readable};

    #[test]
    fn what_is_no_text_goes_to_no_terminal() {
        for (is_text, is_terminal) in [(true, true), (true, false), (false, false)] {
            assert!(readable(is_text, is_terminal).is_ok());
        }
        let error = readable(false, true).unwrap_err();
        assert_eq!(error.exit, Exit::Usage);
        assert!(error.message.contains("--out FILE"), "{error}");
    }

    #[test]
    fn a_document_that_broke_off_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.csv");
        let output = Output::new(Format::Table);
        std::fs::write(&path, "before").unwrap();
        let mut broken = Sink::open(Some(&path), true, output).unwrap();
        broken.write_all(b"half").unwrap();
        drop(broken);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        let mut whole = Sink::open(Some(&path), false, output).unwrap();
        whole.write_all(b"all of it").unwrap();
        whole.finish(output).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "all of it");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(Sink::open(Some(folder.path()), true, output).is_err());
    }
}
