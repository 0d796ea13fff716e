//! Inputs that are nearly right: mutations of a corpus, the same for the same seed.

/// What breaks readers of text and JSON more often than chance would.
const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"{}",
    b"[]",
    b"\"\"",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"0.1",
    b"\\ud800",
    b"\\u0000",
    b"\0",
    b"\xff",
    b"\xc3",
    b"\"",
    b",",
    b":",
    b"=",
    b"\n",
    b"t=",
    b"v1=",
    b"1:",
    b"..",
    b"\xe2\x80\xae",
];

/// Mutations without end.
pub struct Mutations<'a> {
    state: u64,
    corpus: &'a [Vec<u8>],
}

impl<'a> Mutations<'a> {
    pub const fn new(seed: u64, corpus: &'a [Vec<u8>]) -> Self {
        Self { state: seed ^ 0x9e37_79b9_7f4a_7c15, corpus }
    }

    /// The next one: one of the corpus, changed in one to four places.
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.pick(self.corpus).clone();
        for _ in 0..=self.below(4) {
            self.change(&mut input);
        }
        input.truncate(1 << 16);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (at, to) = (self.below(input.len() + 1), self.below(input.len() + 1));
        let range = at.min(to)..at.max(to).min(at.min(to) + 64);
        match self.below(7) {
            0 if !input.is_empty() => {
                let at = at % input.len();
                input[at] ^= 1 << self.below(8);
            }
            1 => input.truncate(at),
            2 => drop(input.drain(range)),
            3 => {
                let again = input[range.clone()].to_vec();
                input.splice(range.start..range.start, again);
            }
            4 => {
                let word = *self.pick(WORDS);
                input.splice(range.start..range.start, word.iter().copied());
            }
            5 => {
                let word = *self.pick(WORDS);
                input.splice(range, word.iter().copied());
            }
            _ => {
                let other = self.pick(self.corpus).clone();
                let from = self.below(other.len() + 1);
                input.splice(at.., other[from..].iter().copied());
            }
        }
    }

    fn pick<'b, T>(&mut self, from: &'b [T]) -> &'b T {
        &from[self.below(from.len())]
    }

    fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from((self.state >> 11) % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}
