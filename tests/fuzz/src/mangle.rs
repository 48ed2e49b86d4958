//! Bytes from bytes: changed, cut, repeated, joined, with known pieces put in.

/// Random numbers from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) % end.max(1) as u64).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap_or_default()
    }
}

/// Lengths that promise more than there is, in CBOR.
const LENGTHS: [&[u8]; 5] = [
    &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x5a, 0xff, 0xff, 0xff, 0xff],
    &[0x9f],
    &[0xbf],
    &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
];

/// One of the pool, mangled, and no longer than that.
pub(crate) fn mangle(dice: &mut Dice, pool: &[Vec<u8>], words: &[&str], longest: usize) -> Vec<u8> {
    let mut bytes = pool[dice.below(pool.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = at + dice.below((bytes.len() - at).min(40) + 1);
        match dice.below(if words.is_empty() { 7 } else { 10 }) {
            0 | 1 if at == bytes.len() => bytes.push(dice.byte()),
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.byte(),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.insert(at, dice.byte()),
            4 => {
                let other = &pool[dice.below(pool.len())];
                let from = dice.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            5 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            6 => drop(bytes.splice(at..at, LENGTHS[dice.below(LENGTHS.len())].iter().copied())),
            _ => {
                let word = words[dice.below(words.len())];
                let end = if dice.below(2) == 0 { at } else { end };
                bytes.splice(at..end, word.bytes());
            }
        }
    }
    bytes.truncate(longest);
    bytes
}
