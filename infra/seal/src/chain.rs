//! Judges the headers of blocks, in their order: signature, key, range, and the block before.
use crate::block::{Header, Signed};
use crate::{Fault, Hash, PublicKeys};

/// One block as it stands in the two places.
#[derive(Debug, Clone, Default)]
pub struct Copies {
    /// In the database.
    pub table: Copy,
    /// In the published copy.
    pub published: Copy,
}

/// One block in one place.
#[derive(Debug, Clone, Default)]
pub enum Copy {
    /// It is not there, and need not be: the copy ends before it, or there is none.
    #[default]
    None,
    /// It should be there.
    Missing,
    /// It is there and cannot be read.
    Malformed(String),
    /// It is there.
    Found(Signed),
}

/// A block after judgement.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its number.
    pub number: u64,
    /// Where it begins, as far as that is known.
    pub first: i64,
    /// The header that holds, if any does.
    pub trusted: Option<Header>,
    /// What is wrong with the copy in the database.
    pub table: Option<(Fault, String)>,
    /// What is wrong with the published copy.
    pub published: Option<(Fault, String)>,
}

/// The chain so far.
#[derive(Debug)]
pub struct Chain<'k> {
    keys: &'k PublicKeys,
    log_id: [u8; 16],
    number: u64,
    first: Option<i64>,
    /// Where a block began or ended that is known: the next one does not begin before it.
    least: i64,
    previous: Option<Hash>,
    key: usize,
}

impl<'k> Chain<'k> {
    /// From the first block of a log.
    #[must_use]
    pub fn new(log_id: [u8; 16], keys: &'k PublicKeys) -> Self {
        let (first, previous) = (Some(1), Some(Hash::default()));
        Self { keys, log_id, number: 1, first, least: 1, previous, key: 0 }
    }

    /// Number of the next block.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Leaves out blocks that are nowhere. What comes after is judged by itself.
    pub fn skip_to(&mut self, number: u64) {
        (self.number, self.first, self.previous) = (number, None, None);
    }

    /// Judges the next block. What was published is believed first: it is what others may hold.
    pub fn judge(&mut self, copies: &Copies) -> Judged {
        let table = self.fault(&copies.table, (Fault::SealMissing, Fault::SealBroken));
        let broken = (Fault::PublishedBroken, Fault::PublishedBroken);
        let published = self.fault(&copies.published, broken);
        let (mut table, published) = (table.err(), published.err());
        let believed = match (&copies.published, &copies.table) {
            (Copy::Found(signed), _) if published.is_none() => Some(signed),
            (_, Copy::Found(signed)) if table.is_none() => Some(signed),
            _ => None,
        };
        if let (Some(believed), Copy::Found(other), None) = (believed, &copies.table, &table)
            && other != believed
        {
            let says = "it was signed a second time, unlike the one that was published";
            table = Some((Fault::SealForked, says.to_owned()));
        }
        let claimed = [&copies.published, &copies.table].into_iter().find_map(|copy| match copy {
            Copy::Found(signed) if signed.header.is_sound() => Some(signed.header.first),
            _ => None,
        });
        let judged = Judged {
            number: self.number,
            first: self.first.or(claimed).unwrap_or(self.least),
            trusted: believed.map(|signed| signed.header.clone()),
            table,
            published,
        };
        self.advance(judged.trusted.as_ref(), copies);
        judged
    }

    /// After a block that nothing tells the truth about, the next one is judged by itself again.
    fn advance(&mut self, trusted: Option<&Header>, copies: &Copies) {
        let begins_here = |header: &Header| {
            header.is_sound() && header.number == self.number && Some(header.first) == self.first
        };
        let last = trusted.map(|header| header.last).or_else(|| {
            [&copies.published, &copies.table].into_iter().find_map(|copy| match copy {
                Copy::Found(signed) if begins_here(&signed.header) => Some(signed.header.last),
                _ => None,
            })
        });
        self.first = last.and_then(|last| last.checked_add(1));
        self.least = self.first.unwrap_or(self.least);
        self.previous = trusted.map(Header::hash);
        if let Some(key) = trusted.and_then(|header| self.keys.index_of(header.key_id)) {
            self.key = key;
        }
        self.number += 1;
    }

    fn fault(&self, copy: &Copy, (missing, broken): (Fault, Fault)) -> Result<(), (Fault, String)> {
        match copy {
            Copy::None => Ok(()),
            Copy::Missing => Err((missing, "the seal is not there".to_owned())),
            Copy::Malformed(why) => Err((broken, format!("the seal cannot be read: {why}"))),
            Copy::Found(signed) => self.broken(signed).map_or(Ok(()), |why| Err((broken, why))),
        }
    }

    /// Why this is not the next block.
    fn broken(&self, Signed { header, signature }: &Signed) -> Option<String> {
        let Some(key) = self.keys.index_of(header.key_id) else {
            return Some(format!(
                "it names the key {}, which is not among the public keys",
                header.key_id
            ));
        };
        let says = if !header.is_sound() {
            "its range of positions is none"
        } else if !self.keys.verifies(key, &header.canonical(), signature) {
            "the signature is not of this header"
        } else if header.log_id != self.log_id {
            "it is of another log"
        } else if header.number != self.number {
            return Some(format!("it is block {}", header.number));
        } else if self.first.is_some_and(|first| first != header.first) {
            "it does not begin where the block before it ends"
        } else if self.previous.is_some_and(|previous| previous != header.previous) {
            "it does not name the block before it"
        } else if key < self.key {
            "it is signed by a key that was no longer in use"
        } else {
            return None;
        };
        Some(says.to_owned())
    }
}
