//! Seeded randomness (SplitMix64): the same seed makes the same choices. Ids also carry the time, so that a restart never repeats one.
use crate::clock;

#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
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

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        let draw = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        f64::from(draw) < probability * (f64::from(u32::MAX) + 1.0)
    }

    /// A new id such as `pi_3…`.
    pub fn id(&mut self, prefix: &str) -> String {
        format!("{prefix}_{}{}", base_62(clock::now_millis()), base_62(self.next()))
    }

    /// Something nobody guesses by accident.
    pub fn secret(&mut self) -> String {
        format!("{}{}", base_62(self.next()), base_62(self.next()))
    }
}

fn base_62(mut number: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    loop {
        text.push(DIGITS[usize::try_from(number % 62).unwrap_or_default()]);
        number /= 62;
        if number == 0 {
            break;
        }
    }
    text.reverse();
    text.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_same_seed_makes_the_same_choices() {
        let draws = |seed| {
            let mut random = Random::new(seed);
            (0..64).map(|_| random.happens(0.5)).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn certain_always_happens_and_impossible_never() {
        let mut random = Random::new(1);
        assert!((0..1_000).all(|_| random.happens(1.0)));
        assert!(!(0..1_000).any(|_| random.happens(0.0)));
    }
}
