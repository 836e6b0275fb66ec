//! Which range tables a circuit has, and how each range is cut into limbs.
//!
//! A range of `w` bits is a sum of limbs whose widths sum to `w` exactly. A limb of one bit is a
//! booleanity row; a wider one is a lookup in the table `0 ..= 2^width − 1`. Which tables there
//! are is decided once, when all requests of the circuit are known, by cost in dense scalars, the
//! unit of proving time.

use std::collections::BTreeMap;

/// Widest range table: 2^13 entries.
pub(crate) const WIDEST: u32 = 13;
/// Most range tables of one circuit that are looked for; more never paid.
const MOST_TABLES: usize = 3;

/// What things cost, in tenths of a dense 254-bit scalar in a multi-scalar multiplication.
pub(crate) mod price {
    /// A dense wire: in two queries (A and L).
    const DENSE: u64 = 20;
    /// A row: its value in the h query, and its share of the transforms.
    pub(crate) const ROW: u64 = 15;
    /// A wire with a small value.
    pub(crate) const SMALL: u64 = 1;
    /// A lookup: a row, and the inverse in two queries.
    pub(crate) const LOOKUP: u64 = ROW + DENSE;
    /// A table entry: a row, its quotient in two queries, its multiplicity.
    pub(crate) const ENTRY: u64 = ROW + DENSE + SMALL;
    /// One bit of a range: a wire and its booleanity.
    pub(crate) const BIT: u64 = ROW + SMALL;
    /// A wire with a small value and the row that fixes it.
    pub(crate) const WIRE: u64 = ROW + SMALL;
    /// A comparison with one constant: two rows, a bit, and an inverse in two queries.
    pub(crate) const IS_EQUAL: u64 = 2 * ROW + DENSE + SMALL;
    /// A clamp: low bits, output and pair.
    pub(crate) const CLAMP: u64 = 3 * (LOOKUP + SMALL);

    /// A range of so many bits, for choices that are made before it is known which tables there
    /// are: that of a circuit with enough ranges to pay for tables.
    pub(crate) const fn range(bits: u32) -> u64 {
        match bits {
            0 => 0,
            1 => BIT,
            _ => bits.div_ceil(super::WIDEST) as u64 * (LOOKUP + SMALL),
        }
    }
}

/// The tables chosen, and the limbs of each width.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Widths {
    /// Widths of the limbs that a range is cut in, widest first, by the range's width.
    cuts: Vec<Vec<u32>>,
}

impl Widths {
    /// The cheapest tables for so many requests of each width. `exists` says which range tables
    /// the circuit has for another reason; `forced` fixes the tables instead.
    ///
    /// Depends on its arguments only, so that both modes decide alike.
    pub(crate) fn choose(
        requests: &BTreeMap<u32, u64>,
        exists: &dyn Fn(u32) -> bool,
        forced: Option<&[u32]>,
    ) -> Self {
        let widest = requests.keys().copied().max().unwrap_or_default();
        if let Some(forced) = forced {
            return Self::with(forced, widest);
        }
        let given: Vec<u32> = (2..=WIDEST).filter(|&width| exists(width)).collect();
        let mut best: (u64, Vec<u32>) = (cost(requests, &given, widest, &given), given.clone());
        let mut sets: Vec<Vec<u32>> = vec![given.clone()];
        for _ in 0..MOST_TABLES {
            let mut larger = Vec::new();
            for set in &sets {
                // Each set once: what is added lies above what was added before.
                let above = set
                    .iter()
                    .filter(|width| !given.contains(width))
                    .max()
                    .copied()
                    .unwrap_or(1);
                for width in above + 1..=WIDEST {
                    if given.contains(&width) {
                        continue;
                    }
                    let mut set = set.clone();
                    set.push(width);
                    let cost = cost(requests, &set, widest, &given);
                    if cost < best.0 {
                        best = (cost, set.clone());
                    }
                    larger.push(set);
                }
            }
            sets = larger;
        }
        Self::with(&best.1, widest)
    }

    fn with(tables: &[u32], widest: u32) -> Self {
        let mut cuts: Vec<Vec<u32>> = vec![Vec::new()];
        for (_, last) in cheapest(tables, widest).into_iter().skip(1) {
            let mut cut = vec![last];
            let rest = (cuts.len() as u64).checked_sub(last.into());
            if let Some(rest) = rest.and_then(|rest| cuts.get(usize::try_from(rest).ok()?)) {
                cut.extend(rest);
            }
            cut.sort_unstable_by(|a, b| b.cmp(a));
            cuts.push(cut);
        }
        Self { cuts }
    }

    /// Widths of the limbs of a range, widest first.
    pub(crate) fn cut(&self, bits: u32) -> &[u32] {
        self.cuts
            .get(bits as usize)
            .map_or(&[], |cut| cut.as_slice())
    }
}

/// Cost of a range of each width up to `widest`, and the last limb of its cheapest cut.
fn cheapest(tables: &[u32], widest: u32) -> Vec<(u64, u32)> {
    let mut out: Vec<(u64, u32)> = vec![(0, 0)];
    for width in 1..=widest {
        let options = core::iter::once((1, price::BIT))
            .chain(tables.iter().map(|&t| (t, price::LOOKUP + price::SMALL)));
        let best = options
            .filter(|&(limb, _)| limb <= width)
            .filter_map(|(limb, cost)| {
                let rest = out.get((width - limb) as usize)?;
                Some((rest.0 + cost, limb))
            })
            // The wider limb of equals: fewer rows.
            .min_by_key(|&(cost, limb)| (cost, core::cmp::Reverse(limb)));
        out.push(best.unwrap_or_default());
    }
    out
}

fn cost(requests: &BTreeMap<u32, u64>, tables: &[u32], widest: u32, given: &[u32]) -> u64 {
    let entries: u64 = tables
        .iter()
        .filter(|table| !given.contains(table))
        .map(|&table| (1 << table) * price::ENTRY + price::ROW)
        .sum();
    let each = cheapest(tables, widest);
    let ranges: u64 = requests
        .iter()
        .map(|(&width, &count)| count * each.get(width as usize).map_or(0, |c| c.0))
        .sum();
    entries + ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(requests: &[(u32, u64)]) -> Widths {
        Widths::choose(&requests.iter().copied().collect(), &|_| false, None)
    }

    #[test]
    fn cuts_sum_to_the_width_and_are_widest_first() {
        for requests in [
            vec![(8, 3)],
            vec![(8, 300), (9, 120)],
            vec![(8, 100_000), (9, 50_000), (23, 40_000)],
            vec![(62, 1)],
            vec![(62, 100_000), (1, 7)],
        ] {
            let widths = choose(&requests);
            for &(bits, _) in &requests {
                let cut = widths.cut(bits);
                assert_eq!(cut.iter().sum::<u32>(), bits);
                assert!(cut.is_sorted_by(|a, b| a >= b));
            }
        }
    }

    #[test]
    fn tables_pay_by_the_number_of_requests() {
        // A few ranges: bits. Many: one lookup each.
        assert_eq!(choose(&[(8, 3)]).cut(8), [1; 8]);
        assert_eq!(choose(&[(8, 100)]).cut(8), [4, 4]);
        assert_eq!(choose(&[(8, 10_000)]).cut(8), [8]);
        let many = choose(&[(8, 100_000), (9, 100_000), (13, 100_000)]);
        assert_eq!(
            (many.cut(8), many.cut(9), many.cut(13)),
            (&[8][..], &[9][..], &[13][..])
        );
        // One table serves several widths.
        assert_eq!(choose(&[(8, 10_000), (9, 20)]).cut(9), [8, 1]);
    }

    #[test]
    fn a_table_that_is_there_is_used() {
        let few: BTreeMap<u32, u64> = [(8, 5)].into();
        let widths = Widths::choose(&few, &|width| width == 8, None);
        assert_eq!(widths.cut(8), [8]);
        let forced = Widths::choose(&few, &|_| false, Some(&[3]));
        assert_eq!(forced.cut(8), [3, 3, 1, 1]);
    }
}
