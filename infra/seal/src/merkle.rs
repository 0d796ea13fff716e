//! The Merkle tree of RFC 9162 (§2.1): a leaf is `SHA-256(0x00 ‖ bytes)`, a node `SHA-256(0x01 ‖ left ‖ right)`, and the left
//! part of a tree of `n` leaves holds the largest power of two below `n`.
use crate::Hash;

const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

/// The leaf of some bytes.
#[must_use]
pub fn leaf(bytes: &[u8]) -> Hash {
    Hash::of(LEAF, &[bytes])
}

fn node(left: Hash, right: Hash) -> Hash {
    Hash::of(NODE, &[&left.0, &right.0])
}

/// Leaves in the left part of a tree of two and more.
fn left_of(leaves: u64) -> u64 {
    leaves.next_power_of_two() / 2
}

/// The root over some leaves; over none it is the hash of nothing.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[], &[]),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node(root(left), root(right))
        }
    }
}

/// What a leaf needs to reach the root: the roots beside its way, from the leaf upwards. Empty when there is no such leaf.
#[must_use]
pub fn path(leaves: &[Hash], index: usize) -> Vec<Hash> {
    if leaves.len() < 2 || index >= leaves.len() {
        return vec![];
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    let (mut below, beside) = match index.checked_sub(left.len()) {
        None => (path(left, index), root(right)),
        Some(index) => (path(right, index), root(left)),
    };
    below.push(beside);
    below
}

/// The root that a leaf reaches by a path in a tree of `leaves` leaves; `None` when the path does not fit there.
#[must_use]
pub fn reached(from: Hash, index: u64, leaves: u64, path: &[Hash]) -> Option<Hash> {
    if index >= leaves {
        return None;
    }
    if leaves == 1 {
        return path.is_empty().then_some(from);
    }
    let (beside, below) = path.split_last()?;
    let left = left_of(leaves);
    match index.checked_sub(left) {
        None => Some(node(reached(from, index, left, below)?, *beside)),
        Some(index) => Some(node(*beside, reached(from, index, leaves - left, below)?)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Hash, leaf, node, path, reached, root};

    fn leaves(count: usize) -> Vec<Hash> {
        (0..count).map(|number| leaf(&number.to_be_bytes())).collect()
    }

    /// Level by level, a lone last one moving up: the same tree, said in another way.
    fn naive(mut level: Vec<Hash>) -> Hash {
        while level.len() > 1 {
            level = level
                .chunks(2)
                .map(|pair| if let [left, right] = pair { node(*left, *right) } else { pair[0] })
                .collect();
        }
        level[0]
    }

    #[test]
    fn the_empty_tree_and_the_known_vectors_are_those_of_certificate_transparency() {
        let hashes = |of: &[&str]| -> Vec<Hash> {
            of.iter().map(|bytes| leaf(&hex::decode(bytes).unwrap())).collect()
        };
        let all = hashes(&[
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ]);
        for (count, expected) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(root(&all[..count]).to_string(), expected, "{count} leaves");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_root_is_that_of_the_naive_tree(count in 1_usize..200) {
            prop_assert_eq!(root(&leaves(count)), naive(leaves(count)));
        }

        #[test]
        fn every_leaf_reaches_the_root_and_no_other_does(count in 1_usize..130, at in any::<prop::sample::Index>(), other in any::<u8>()) {
            let all = leaves(count);
            let (index, size) = (at.index(count), count as u64);
            let way = path(&all, index);
            let from = |leaf, index: usize| reached(leaf, index as u64, size, &way);
            prop_assert_eq!(from(all[index], index), Some(root(&all)));
            prop_assert_ne!(from(leaf(&[other]), index), Some(root(&all)));
            for elsewhere in (0..count).filter(|elsewhere| *elsewhere != index) {
                prop_assert_ne!(from(all[index], elsewhere), Some(root(&all)));
            }
            prop_assert_eq!(reached(all[index], size, size, &way), None);
        }

        #[test]
        fn a_path_with_a_bit_flipped_or_a_step_more_or_less_leads_elsewhere(count in 2_usize..130, at in any::<prop::sample::Index>(), step in any::<prop::sample::Index>(), bit in 0_usize..256) {
            let all = leaves(count);
            let (index, size) = (at.index(count), count as u64);
            let way = path(&all, index);
            let to = |way: &[Hash]| reached(all[index], index as u64, size, way);
            let mut bent = way.clone();
            bent[step.index(way.len())].0[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(to(&bent), Some(root(&all)));
            prop_assert_ne!(to(&way[1..]), Some(root(&all)));
            prop_assert_eq!(to(&[way.as_slice(), &[all[0]]].concat()), None);
        }
    }
}
