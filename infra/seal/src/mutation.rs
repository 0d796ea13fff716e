//! Ways to tamper with a sealed log, each with the position that a verification must name. A log in memory stands in for the
//! database: what judges it is [`Chain`] and [`check_block`], the same that judges a database.
use std::collections::BTreeMap;

use crate::{
    Block, BlockView, Chain, Copies, Copy, Fault, Finding, Hash, PublicKeys, SealKey, SealedEvent,
    Signed, check_block,
};

/// Seeded randomness (SplitMix64): the same seed makes the same choices.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Something below a number.
    fn below(&mut self, number: usize) -> usize {
        usize::try_from(self.next() % number.max(1) as u64).unwrap_or_default()
    }

    fn flip(&mut self, bytes: &mut [u8]) {
        let at = self.below(bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
    }
}

/// What is done to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is said in `Tampering::apply`")]
pub enum Tampering {
    FlipBit,
    SwapEvents,
    DeleteEvent,
    DeleteAndCloseUp,
    InsertEvent,
    DoubleEvent,
    CutEvents,
    CutEventsAndSeals,
    RewriteAndRehash,
    RewriteAndSignAnew,
    FlipSeal,
    FlipLeaf,
    DeleteSeal,
    SwapSeals,
    FlipPublishedSeal,
    FlipPublishedLeaf,
    DeletePublished,
    SwapPublished,
    BreakPublished,
}

/// All of them.
pub const ALL: [Tampering; 19] = [
    Tampering::FlipBit,
    Tampering::SwapEvents,
    Tampering::DeleteEvent,
    Tampering::DeleteAndCloseUp,
    Tampering::InsertEvent,
    Tampering::DoubleEvent,
    Tampering::CutEvents,
    Tampering::CutEventsAndSeals,
    Tampering::RewriteAndRehash,
    Tampering::RewriteAndSignAnew,
    Tampering::FlipSeal,
    Tampering::FlipLeaf,
    Tampering::DeleteSeal,
    Tampering::SwapSeals,
    Tampering::FlipPublishedSeal,
    Tampering::FlipPublishedLeaf,
    Tampering::DeletePublished,
    Tampering::SwapPublished,
    Tampering::BreakPublished,
];

/// A sealed log in memory.
#[derive(Clone)]
pub struct World {
    keys: PublicKeys,
    secret: [u8; 32],
    log_id: [u8; 16],
    events: Vec<SealedEvent>,
    table: BTreeMap<u64, Block>,
    published: Vec<Block>,
    /// Lines of the published copy that are no longer what their block says, by index.
    bent: BTreeMap<usize, String>,
}

impl World {
    /// Some ten blocks of one to nine events each.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&random.next().to_be_bytes());
        let key = SealKey::from_bytes(&secret);
        let log_id = [7; 16];
        let (mut events, mut table) = (vec![], BTreeMap::new());
        let mut before: Option<Block> = None;
        for _ in 0..8 + random.below(5) {
            let size = 1 + random.below(9);
            let from = events.len();
            events.extend((from + 1..=from + size).map(|position| event(position, random)));
            let leaves = events[from..].iter().map(SealedEvent::leaf).collect();
            let sealed_at = i64::try_from(from).unwrap_or_default();
            let header = before.as_ref().map(|block| &block.signed.header);
            let block = Block::seal(&key, (log_id, header), leaves, sealed_at);
            table.insert(block.signed.header.number, block.clone());
            before = Some(block);
        }
        let published = table.values().cloned().collect();
        Self { keys: key.public(), secret, log_id, events, table, published, bent: BTreeMap::new() }
    }

    /// Everything that is wrong, by position.
    #[must_use]
    pub fn verify(&self) -> Vec<Finding> {
        let mut chain = Chain::new(self.log_id, &self.keys);
        let mut rows = self.events.clone();
        rows.sort_by_key(|event| event.position);
        let misplaced = rows.iter().filter(|event| event.position < 1).map(|event| Finding {
            position: event.position,
            block: None,
            fault: Fault::EventMisplaced,
            detail: "positions begin at 1".to_owned(),
        });
        let mut findings: Vec<Finding> = misplaced.collect();
        let lines = self.published.len();
        let blocks = self.table.keys().last().copied().unwrap_or(0).max(lines as u64);
        for number in 1..=blocks {
            let table = self.table.get(&number);
            let line = usize::try_from(number - 1).ok().filter(|line| *line < lines);
            let published = line.map(|line| self.line(line));
            let judged = chain.judge(&Copies {
                table: table.map_or(Copy::Missing, |block| Copy::Found(block.signed.clone())),
                published: match &published {
                    None => Copy::None,
                    Some(Err(why)) => Copy::Malformed(why.clone()),
                    Some(Ok(block)) => Copy::Found(block.signed.clone()),
                },
            });
            let inside = |event: &&SealedEvent| {
                let header = judged.trusted.as_ref();
                header.is_some_and(|header| (header.first..=header.last).contains(&event.position))
            };
            let here = rows.iter().filter(inside);
            let events: Vec<_> = here.cloned().collect();
            findings.extend(check_block(BlockView {
                judged: &judged,
                table: table.map(|block| &block.leaves[..]),
                published: published.as_ref().and_then(|b| b.as_ref().ok()).map(|b| &b.leaves[..]),
                events: Some(&events),
            }));
        }
        findings.sort_by_key(|finding| finding.position);
        findings
    }

    fn line(&self, index: usize) -> Result<Block, String> {
        let text = match self.bent.get(&index) {
            Some(text) => text.clone(),
            None => self.published[index].to_line().map_err(|error| error.to_string())?,
        };
        Block::from_line(&text).map_err(|error| error.to_string())
    }

    fn last(&self) -> i64 {
        self.published.last().map_or(0, |block| block.signed.header.last)
    }

    fn block_of(&self, position: i64) -> u64 {
        let inside = |block: &&Block| block.signed.header.last >= position;
        self.published.iter().find(inside).map_or(0, |block| block.signed.header.number)
    }

    fn first_of(&self, number: u64) -> i64 {
        let is_it = |block: &&Block| block.signed.header.number == number;
        self.published.iter().find(is_it).map_or(0, |block| block.signed.header.first)
    }

    /// Puts a block and all after it together again from the events as they are now, signed with some key.
    fn seal_anew(&mut self, from: u64, key: &SealKey, claimed: Option<Hash>) {
        let numbers: Vec<u64> = self.table.range(from..).map(|(number, _)| *number).collect();
        for number in numbers {
            let Some(old) = self.table.get(&number).map(|block| block.signed.header.clone()) else {
                continue;
            };
            let range = old.first..=old.last;
            let here = self.events.iter().filter(|event| range.contains(&event.position));
            let leaves: Vec<Hash> = here.map(SealedEvent::leaf).collect();
            let before = self.table.get(&(number - 1)).map(|block| &block.signed.header);
            let mut block = Block::seal(key, (self.log_id, before), leaves, old.sealed_at_micros);
            if let Some(claimed) = claimed {
                block.signed.header.key_id = claimed;
            }
            self.table.insert(number, block);
        }
    }
}

/// One event, unlike any other.
fn event(position: usize, random: &mut Random) -> SealedEvent {
    let number = random.next();
    SealedEvent {
        position: i64::try_from(position).unwrap_or_default(),
        recorded_at_micros: 1_700_000_000_000_000 + i64::try_from(position).unwrap_or_default(),
        command_id: format!("command-{number:x}"),
        aggregate_type: "wallet".to_owned(),
        aggregate_id: format!("org_{}", number % 7),
        sequence: i64::try_from(number % 90).unwrap_or_default() + 1,
        event_type: "wallet.topped_up".to_owned(),
        event_version: "1".to_owned(),
        payload: format!("{{\"amount_nanos\": {}}}", number >> 20),
        metadata: format!("{{\"actor\":\"key_{}\"}}", number % 5),
    }
}

impl Tampering {
    /// Does it somewhere. Returns the first position that is wrong now.
    pub fn apply(self, world: &mut World, random: &mut Random) -> i64 {
        let at = random.below(world.events.len());
        let position = world.events[at].position;
        match self {
            Self::FlipBit => flip_bit(world, at, random),
            Self::SwapEvents => swap_events(world, at, random),
            Self::DeleteEvent | Self::DeleteAndCloseUp => {
                world.events.remove(at);
                let close_up = self == Self::DeleteAndCloseUp;
                let after = world.events.iter_mut().skip(at).filter(|_| close_up);
                after.for_each(|event| event.position -= 1);
                position
            }
            Self::InsertEvent => {
                world.events.iter_mut().skip(at).for_each(|event| event.position += 1);
                let number = usize::try_from(position).unwrap_or_default();
                world.events.insert(at, event(number, random));
                position
            }
            Self::DoubleEvent => {
                let double = world.events[at].clone();
                world.events.push(double);
                position
            }
            Self::CutEvents => {
                world.events.truncate(at);
                position
            }
            Self::CutEventsAndSeals => {
                world.events.truncate(at);
                let last = position - 1;
                world.table.retain(|_, block| block.signed.header.last <= last);
                // The seal of a block that was only cut into is gone as well: that is seen where the block begins.
                world.first_of(world.block_of(position))
            }
            Self::RewriteAndRehash | Self::RewriteAndSignAnew => rewrite(self, world, at, random),
            _ => self.apply_to_seals(world, random),
        }
    }

    fn apply_to_seals(self, world: &mut World, random: &mut Random) -> i64 {
        let index = random.below(world.published.len());
        let mut number = index as u64 + 1;
        let first = world.first_of(number);
        match self {
            Self::FlipSeal => {
                if let Some(block) = world.table.get_mut(&number) {
                    flip_signed(&mut block.signed, random);
                }
                first
            }
            Self::FlipLeaf => {
                let block = world.table.get_mut(&number);
                first + block.map_or(0, |block| flip_leaf(block, random))
            }
            Self::DeleteSeal => {
                // The last one may be missing in the table only while it is not published yet: here it is.
                world.table.remove(&number);
                first
            }
            Self::SwapSeals => {
                number = number.min(world.published.len() as u64 - 1);
                let pair = (world.table.remove(&number), world.table.remove(&(number + 1)));
                if let (Some(left), Some(right)) = pair {
                    world.table.insert(number, right);
                    world.table.insert(number + 1, left);
                }
                world.first_of(number)
            }
            Self::FlipPublishedSeal => {
                flip_signed(&mut world.published[index].signed, random);
                first
            }
            Self::FlipPublishedLeaf => first + flip_leaf(&mut world.published[index], random),
            Self::DeletePublished => {
                // Without its last line the copy is only behind.
                let index = index.min(world.published.len() - 2);
                world.published.remove(index).signed.header.first
            }
            Self::SwapPublished => {
                let index = index.min(world.published.len() - 2);
                let first = world.published[index].signed.header.first;
                world.published.swap(index, index + 1);
                first
            }
            _ => bend_line(world, index, random),
        }
    }
}

fn flip_bit(world: &mut World, at: usize, random: &mut Random) -> i64 {
    let last = world.last();
    let event = &mut world.events[at];
    let position = event.position;
    let text = match random.below(10) {
        0 => {
            event.position ^= 1 << random.below(64);
            // Where it stands now is wrong as well, if that is within what is sealed.
            let there = event.position;
            return if there <= last { there.min(position) } else { position };
        }
        1 => {
            event.recorded_at_micros ^= 1 << random.below(64);
            return position;
        }
        2 => {
            event.sequence ^= 1 << random.below(64);
            return position;
        }
        3 => &mut event.command_id,
        4 => &mut event.aggregate_type,
        5 => &mut event.aggregate_id,
        6 => &mut event.event_type,
        7 => &mut event.event_version,
        8 => &mut event.payload,
        _ => &mut event.metadata,
    };
    let mut bytes = std::mem::take(text).into_bytes();
    let byte = random.below(bytes.len());
    // The eighth bit would leave ASCII, and the database takes no broken text.
    bytes[byte] ^= 1 << random.below(7);
    *text = bytes.into_iter().map(char::from).collect();
    position
}

fn swap_events(world: &mut World, at: usize, random: &mut Random) -> i64 {
    let others = world.events.len() - 1;
    let other = (at + 1 + random.below(others)) % world.events.len();
    let (left, right) = (world.events[at].position, world.events[other].position);
    world.events[at].position = right;
    world.events[other].position = left;
    left.min(right)
}

/// The event and every seal from its block on: without the key, or with it.
fn rewrite(how: Tampering, world: &mut World, at: usize, random: &mut Random) -> i64 {
    let position = world.events[at].position;
    world.events[at].payload = format!("{{\"amount_nanos\": {}}}", random.next());
    let number = world.block_of(position);
    let (own, claimed) = match how {
        Tampering::RewriteAndSignAnew => (SealKey::from_bytes(&world.secret), None),
        _ => (SealKey::from_bytes(&[9; 32]), world.keys.ids().first().copied()),
    };
    world.seal_anew(number, &own, claimed);
    position
}

fn flip_signed(signed: &mut Signed, random: &mut Random) {
    let header = &mut signed.header;
    match random.below(11) {
        0 => header.format ^= 1 << random.below(16),
        1 => random.flip(&mut header.log_id),
        2 => header.number ^= 1 << random.below(64),
        3 => header.first ^= 1 << random.below(64),
        4 => header.last ^= 1 << random.below(64),
        5 => header.count ^= 1 << random.below(64),
        6 => random.flip(&mut header.root.0),
        7 => random.flip(&mut header.previous.0),
        8 => header.sealed_at_micros ^= 1 << random.below(64),
        9 => random.flip(&mut header.key_id.0),
        _ => random.flip(&mut signed.signature),
    }
}

fn flip_leaf(block: &mut Block, random: &mut Random) -> i64 {
    let index = random.below(block.leaves.len());
    random.flip(&mut block.leaves[index].0);
    i64::try_from(index).unwrap_or_default()
}

/// A line that is no seal at all.
fn bend_line(world: &mut World, index: usize, random: &mut Random) -> i64 {
    let line = world.published[index].to_line().unwrap_or_default();
    let cut = random.below(line.len());
    world.bent.insert(index, line[..cut].to_owned());
    world.published[index].signed.header.first
}

/// What came of a programme.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Of each way to tamper: how often it was done, how often it was found at its position.
    pub found: BTreeMap<String, (usize, usize)>,
    /// Untouched logs that were verified.
    pub clean: usize,
    /// Alarms that they raised.
    pub false_alarms: usize,
    /// What went wrong, the first ones.
    pub failures: Vec<String>,
}

/// Tampers with `count` fresh logs, each in one of all ways by turns, and verifies `clean` untouched ones.
#[must_use]
pub fn programme(count: usize, clean: usize, seed: u64) -> Tally {
    let mut random = Random::new(seed);
    let mut tally = Tally { clean, ..Tally::default() };
    for round in 0..count {
        let tampering = ALL[round % ALL.len()];
        let mut world = World::new(&mut random);
        let expected = tampering.apply(&mut world, &mut random);
        let named = world.verify().first().map(|finding| finding.position);
        let of_kind = tally.found.entry(format!("{tampering:?}")).or_default();
        of_kind.0 += 1;
        if named == Some(expected) {
            of_kind.1 += 1;
        } else if tally.failures.len() < 10 {
            tally
                .failures
                .push(format!("round {round}: {tampering:?} at {expected}, named {named:?}"));
        }
    }
    for _ in 0..clean {
        tally.false_alarms += usize::from(!World::new(&mut random).verify().is_empty());
    }
    tally
}
