//! Which sessions the tree of the index may have: a Bloom filter, so that what is new need not be looked for there. Each such
//! look-up reads a page that is not in memory, as a rule.

use super::seal::NameHash;

/// Half a megabyte: of a million sessions it lets one in seven of the new ones be looked for in vain.
const BITS: usize = 1 << 22;
const WORD_BITS: usize = 64;

#[derive(Default)]
pub(super) struct SessionFilter {
    /// Empty until there is something in it.
    words: Vec<u64>,
}

impl SessionFilter {
    pub(super) fn add(&mut self, name: NameHash) {
        if self.words.is_empty() {
            self.words = vec![0; BITS / WORD_BITS];
        }
        for bit in bits(name) {
            self.words[bit / WORD_BITS] |= 1 << (bit % WORD_BITS);
        }
    }

    /// False only if no name of the session was added.
    pub(super) fn may_have(&self, name: NameHash) -> bool {
        bits(name).into_iter().all(|bit| {
            self.words
                .get(bit / WORD_BITS)
                .is_some_and(|word| word & 1 << (bit % WORD_BITS) != 0)
        })
    }
}

/// Two bits, of what all names of a session share.
fn bits(name: NameHash) -> [usize; 2] {
    let (first, _) = name.of_session();
    // Both halves are as good as random; an odd factor mixes them once more.
    let mixed = first.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    [first.cast_unsigned(), mixed].map(|hash| (hash >> (u64::BITS - BITS.trailing_zeros())) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::seal::VaultKeys;

    #[test]
    fn it_forgets_nothing_and_takes_few_for_others() {
        let keys = VaultKeys::open([3; 16]);
        let name = |number: u32, room: u8| keys.name_hash(&number.to_le_bytes(), &[room; 16]);
        let mut filter = SessionFilter::default();
        assert!(!filter.may_have(name(0, 0)));
        (0..200_000).for_each(|number| filter.add(name(number, 0)));
        assert!((0..200_000).all(|number| filter.may_have(name(number, 0)) && filter.may_have(name(number, 1))));
        let mistaken = (200_000..300_000).filter(|number| filter.may_have(name(*number, 0)));
        let mistaken = mistaken.count();
        assert!((1..2_000).contains(&mistaken), "{mistaken} of 100,000");
    }
}
