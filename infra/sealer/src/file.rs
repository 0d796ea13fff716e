//! The published file: one line of JSON per block, only ever appended to.
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use cairn_seal::Block;

use crate::SealError;

const CHUNK: u64 = 1 << 16;

/// Where blocks are published.
#[derive(Debug, Clone)]
pub struct PublishedFile(PathBuf);

impl PublishedFile {
    /// A file, which need not exist yet.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn error(&self, source: io::Error) -> SealError {
        SealError::File { path: self.0.clone(), source }
    }

    /// The last line; `None` when there is none. What a crash left without its end is not one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_line(&self) -> Result<Option<String>, SealError> {
        match File::open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                let read = opened.and_then(|file| last_line(&file, whole_length(&file)?));
                read.map_err(|error| self.error(error))
            }
        }
    }

    /// Appends lines, if the last one is still the one that was seen. Says whether it did.
    pub(crate) fn append(&self, seen: Option<&str>, lines: &[String]) -> Result<bool, SealError> {
        self.try_append(seen, lines).map_err(|error| self.error(error))
    }

    fn try_append(&self, seen: Option<&str>, lines: &[String]) -> io::Result<bool> {
        if let Some(directory) = self.0.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&self.0)?;
        file.lock()?;
        let length = whole_length(&file)?;
        if last_line(&file, length)?.as_deref() != seen {
            return Ok(false);
        }
        if length < file.metadata()?.len() {
            tracing::warn!(path = %self.0.display(), "a line without its end was left by a crash and is written anew");
            file.set_len(length)?;
        }
        file.write_all((lines.join("\n") + "\n").as_bytes())?;
        file.sync_all()?;
        if let Some(directory) =
            self.0.parent().filter(|directory| !directory.as_os_str().is_empty())
        {
            File::open(directory)?.sync_all()?;
        }
        Ok(true)
    }

    /// Where each line begins and how long it is.
    pub(crate) fn lines(&self) -> Result<Vec<(u64, usize)>, SealError> {
        let read = || {
            let (mut reader, mut at, mut found, mut line) =
                (BufReader::new(File::open(&self.0)?), 0, vec![], vec![]);
            while reader.read_until(b'\n', &mut line)? > 0 {
                if line.last() == Some(&b'\n') {
                    found.push((at, line.len() - 1));
                }
                at += line.len() as u64;
                line.clear();
            }
            Ok(found)
        };
        read().map_err(|error| self.error(error))
    }

    /// The block of a line; or why it is none.
    pub(crate) fn block(
        &self,
        (at, length): (u64, usize),
    ) -> Result<Result<Block, String>, SealError> {
        let mut bytes = vec![0; length];
        let read = File::open(&self.0).and_then(|file| file.read_exact_at(&mut bytes, at));
        read.map_err(|error| self.error(error))?;
        let text = String::from_utf8(bytes).map_err(|error| error.to_string());
        Ok(text.and_then(|text| Block::from_line(&text).map_err(|error| error.to_string())))
    }
}

/// Up to and with the last end of a line.
fn whole_length(file: &File) -> io::Result<u64> {
    end_of_line_before(file, file.metadata()?.len())
}

/// Just after the last end of a line before a place; 0 when there is none.
fn end_of_line_before(file: &File, mut end: u64) -> io::Result<u64> {
    let mut bytes = vec![0; usize::try_from(CHUNK).unwrap_or_default()];
    while end > 0 {
        let begin = end.saturating_sub(CHUNK);
        let part = &mut bytes[..usize::try_from(end - begin).unwrap_or_default()];
        file.read_exact_at(part, begin)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

fn last_line(file: &File, length: u64) -> io::Result<Option<String>> {
    if length == 0 {
        return Ok(None);
    }
    let begin = end_of_line_before(file, length - 1)?;
    let mut bytes = vec![0; usize::try_from(length - 1 - begin).unwrap_or_default()];
    file.read_exact_at(&mut bytes, begin)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
