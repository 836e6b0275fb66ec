//! Which service key is in force at which place of a log.

use proofmark_types::Digest;
use proofmark_types::dsse::key_id;

/// A service key and the entries at which it is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The raw public key.
    pub key: [u8; 32],
    /// First index at which it is in force: behind the rotation that announced it.
    pub from: u64,
    /// The rotation that ended it, which it still signed.
    pub until: Option<u64>,
}

impl Period {
    /// Whether the key is in force at this index.
    pub fn holds(&self, index: u64) -> bool {
        self.from <= index && self.until.is_none_or(|until| index <= until)
    }

    /// The key's id.
    pub fn id(&self) -> Digest {
        key_id(&self.key)
    }
}

/// A rotation as it stands in the log, its two signatures verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u64,
    pub(crate) old: [u8; 32],
    pub(crate) new: [u8; 32],
}

/// The keys of a service, oldest first: linked by rotations that the old key signed and the new key
/// agreed to, so that a verifier may have pinned any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChain {
    periods: Vec<Period>,
}

impl KeyChain {
    /// Follows rotations, in the log's order, from a pinned key to both ends. Rotations that are
    /// not on the way are of no effect. A key is in force once: a rotation back to an earlier key
    /// is none.
    pub(crate) fn new(pinned: [u8; 32], rotations: &[Link]) -> Self {
        let mut keys = vec![pinned];
        let mut before: Vec<Link> = Vec::new();
        let mut bound = u64::MAX;
        let mut key = pinned;
        // Who rotated away from a key once cannot do it again, whoever has the key by then.
        let first_away = |link: &Link| {
            let first = rotations.iter().find(|other| other.old == link.old);
            first.is_some_and(|first| first.index == link.index)
        };
        // Towards the past: the latest rotation to this key before the one that was followed.
        while let Some(link) = rotations.iter().rev().find(|link| {
            link.new == key && link.index < bound && !keys.contains(&link.old) && first_away(link)
        }) {
            before.push(*link);
            keys.push(link.old);
            (key, bound) = (link.old, link.index);
        }
        before.reverse();
        let mut links = before;
        let mut key = pinned;
        let mut bound = links.last().map(|link| link.index);
        // Towards the future: the first rotation away from this key counts.
        while let Some(link) = rotations
            .iter()
            .find(|link| link.old == key && bound.is_none_or(|b| link.index > b))
        {
            if keys.contains(&link.new) {
                break;
            }
            links.push(*link);
            keys.push(link.new);
            (key, bound) = (link.new, Some(link.index));
        }
        let first = links.first().map_or(pinned, |link| link.old);
        let mut periods = vec![Period {
            key: first,
            from: 0,
            until: None,
        }];
        for link in &links {
            if let Some(last) = periods.last_mut() {
                last.until = Some(link.index);
            }
            periods.push(Period {
                key: link.new,
                from: link.index.saturating_add(1),
                until: None,
            });
        }
        Self { periods }
    }

    /// The keys with their periods, oldest first; never empty.
    pub fn periods(&self) -> &[Period] {
        &self.periods
    }

    /// The period at this index.
    pub fn at(&self, index: u64) -> Option<&Period> {
        self.periods.iter().find(|period| period.holds(index))
    }

    /// The period of this key.
    pub fn of(&self, key: &[u8; 32]) -> Option<&Period> {
        self.periods.iter().find(|period| period.key == *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u64, old: u8, new: u8) -> Link {
        Link {
            index,
            old: [old; 32],
            new: [new; 32],
        }
    }

    fn keys(chain: &KeyChain) -> Vec<(u8, u64, Option<u64>)> {
        let tell = |p: &Period| (p.key[0], p.from, p.until);
        chain.periods().iter().map(tell).collect()
    }

    #[test]
    fn any_key_of_a_chain_leads_to_all() {
        let rotations = [link(4, 1, 2), link(9, 2, 3)];
        let whole = [(1, 0, Some(4)), (2, 5, Some(9)), (3, 10, None)];
        for pinned in 1..=3 {
            assert_eq!(
                keys(&KeyChain::new([pinned; 32], &rotations)),
                whole,
                "{pinned}"
            );
        }
        assert_eq!(keys(&KeyChain::new([7; 32], &rotations)), [(7, 0, None)]);
        let chain = KeyChain::new([1; 32], &rotations);
        // The old key signs its own rotation, the new one what follows.
        assert_eq!(chain.at(4).unwrap().key, [1; 32]);
        assert_eq!(chain.at(5).unwrap().key, [2; 32]);
        assert!(chain.of(&[7; 32]).is_none());
    }

    #[test]
    fn who_lost_a_key_cannot_rotate_again() {
        // The old key is used once more, to announce somebody else.
        let rotations = [link(4, 1, 2), link(9, 1, 8)];
        let chain = KeyChain::new([1; 32], &rotations);
        assert_eq!(keys(&chain), [(1, 0, Some(4)), (2, 5, None)]);
        assert_eq!(keys(&KeyChain::new([8; 32], &rotations)), [(8, 0, None)]);
        // Nor back to an earlier key, nor in circles.
        let rotations = [link(4, 1, 2), link(9, 2, 1), link(12, 1, 2)];
        for pinned in [1, 2] {
            assert_eq!(
                keys(&KeyChain::new([pinned; 32], &rotations)).len(),
                2,
                "{pinned}"
            );
        }
    }
}
