//! A Bloom filter over the sessions that are in runs. It saves nearly all look-ups of new sessions; each of these would
//! read several pages that are usually not in memory.

use crate::vault::seal::NameHash;

/// Size of the filter: a megabyte. With a million sessions in it, one in thirty new sessions is looked up in vain.
const BITS: usize = 1 << 23;
const WORD_BITS: usize = 64;

#[derive(Default)]
pub(super) struct SessionFilter {
    /// Empty until the first session is added.
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

    /// Whether the session may have been added, under any room. False only if it certainly was not.
    pub(super) fn may_have(&self, name: NameHash) -> bool {
        bits(name).into_iter().all(|bit| {
            self.words
                .get(bit / WORD_BITS)
                .is_some_and(|word| word & 1 << (bit % WORD_BITS) != 0)
        })
    }
}

/// Returns the positions of three bits, which are the same for all names of a session, whatever the room.
fn bits(name: NameHash) -> [usize; 3] {
    let (first, _) = name.of_session();
    // The part of the hash that belongs to the session is as good as random. For the other bits, multiplying it by
    // odd numbers mixes it once more.
    let mixed = |odd: u64| first.cast_unsigned().wrapping_mul(odd);
    let hashes = [
        first.cast_unsigned(),
        mixed(0x9E37_79B9_7F4A_7C15),
        mixed(0xC2B2_AE3D_27D4_EB4F),
    ];
    hashes.map(|hash| (hash >> (u64::BITS - BITS.trailing_zeros())) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::seal::VaultKeys;

    #[test]
    fn the_filter_forgets_nothing_and_rarely_mistakes_a_name() {
        let keys = VaultKeys::open([3; 16]);
        let name = |number: u32, room: u8| keys.name_hash(&number.to_le_bytes(), &[room; 16]);
        let mut filter = SessionFilter::default();
        assert!(!filter.may_have(name(0, 0)));
        (0..200_000).for_each(|number| filter.add(name(number, 0)));
        assert!((0..200_000).all(|number| filter.may_have(name(number, 0)) && filter.may_have(name(number, 1))));
        let mistaken = (200_000..300_000).filter(|number| filter.may_have(name(*number, 0)));
        let mistaken = mistaken.count();
        assert!((1..200).contains(&mistaken), "{mistaken} of 100,000");
    }
}
