//! The position of the largest of several numbers (`ArgMax`).

use crate::circuit::Backend;
use crate::compare::{at_least, select};
use crate::error::LowerError;
use crate::limbs::limbs;
use crate::lowering::Lowering;
use crate::max::max;
use crate::num::Num;

/// Which of several equal maxima is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// The one of the lowest index.
    First,
    /// The one of the highest index.
    Last,
}

/// The index of the largest number. Those that their interval keeps from winning do not take part;
/// less where intervals decide.
///
/// # Errors
/// [`LowerError::IntervalUnfit`] when there is no number; those of [`at_least`], [`select`],
/// [`max`] and [`limbs`].
pub fn arg_max(cx: &mut Lowering<'_>, of: &[Num], tie: Tie) -> Result<Num, LowerError> {
    let entrants: Vec<Entry> = (0_i64..)
        .zip(of)
        .zip(can_win(of, tie))
        .filter(|&(_, can_win)| can_win)
        .map(|((index, value), _)| Entry {
            value: value.clone(),
            index: Num::constant(cx, index),
        })
        .collect();
    match (cx.backend(), Keys::new(&entrants, tie)) {
        (Backend::Committed, Some(keys)) => by_keys(cx, &entrants, &keys),
        _ => knockout(cx, entrants, tie),
    }
}

/// How a number and its place make one key.
struct Keys {
    tie: Tie,
    /// First and last index that takes part.
    from: i64,
    to: i64,
    /// Smallest value.
    lo: i64,
    /// Bits of a rank, and of a value above the smallest.
    rank_bits: u32,
    value_bits: u32,
}

impl Keys {
    /// `None` for fewer than two numbers, or ones too wide to have a rank beside them.
    fn new(entrants: &[Entry], tie: Tie) -> Option<Self> {
        let (first, rest) = entrants.split_first()?;
        let (from, to) = (first.index.lo(), rest.last()?.index.lo());
        let lo = entrants.iter().map(|entry| entry.value.lo()).min()?;
        let hi = entrants.iter().map(|entry| entry.value.hi()).max()?;
        let keys = Self {
            tie,
            from,
            to,
            lo,
            rank_bits: 64 - (to - from).leading_zeros(),
            value_bits: 64 - hi.checked_sub(lo)?.leading_zeros(),
        };
        // Twice a key stays below 2^62.
        (keys.rank_bits + keys.value_bits <= 60).then_some(keys)
    }

    fn key(&self, cx: &Lowering<'_>, entry: &Entry) -> Result<Num, LowerError> {
        let index = entry.index.lo();
        let rank = match self.tie {
            Tie::First => self.to - index,
            Tie::Last => index - self.from,
        };
        let value = entry.value.plus(cx, -self.lo)?;
        Num::linear(cx, [(1 << self.rank_bits, &value)], rank)
    }
}

/// The largest of the keys `2^b · value + rank`, and the rank in its low bits: one maximum a
/// number after the first, and two ranges. The rank of the numbers that win ties is the higher one.
///
/// # Soundness
/// With values counted from the smallest lower end, keys are non-negative integers, all different
/// as ranks are, and ordered as values are, then ranks. The largest is determined ([`max`]), and so
/// are its low `b` bits ([`limbs`]): the rank of the largest number that wins the tie.
fn by_keys(cx: &mut Lowering<'_>, entrants: &[Entry], keys: &Keys) -> Result<Num, LowerError> {
    let mut largest: Option<Num> = None;
    for entry in entrants {
        let key = keys.key(cx, entry)?;
        largest = Some(match largest {
            None => key,
            Some(so_far) => max(cx, &so_far, &key)?,
        });
    }
    let largest = largest.ok_or_else(|| nothing(cx))?;
    let widths = [keys.rank_bits, keys.value_bits];
    let parts = limbs(cx, "arg-max-rank", &largest, &widths)?;
    let rank = parts.first().ok_or_else(|| nothing(cx))?;
    let index = match keys.tie {
        Tie::First => Num::linear(cx, [(-1, rank)], keys.to)?,
        Tie::Last => rank.plus(cx, keys.from)?,
    };
    // A rank may have room for more than there are: the one of the largest is one that there is.
    Ok(index.narrowed(keys.from, keys.to))
}

/// Neighbours are compared, the larger goes on with its index. For `n` bytes `n − 1` comparisons
/// of 9 constraints, `n − 2` products that carry values, and one that carries an index for each
/// comparison but those between two inputs (about `10.5·n`).
///
/// # Soundness
/// Each comparison's bit is determined by the two values ([`at_least`]), each value and index that
/// goes on by the bit ([`select`]). All of the left side's indices are below all of the right
/// side's, because neighbours meet in order. With [`Tie::First`] the right side goes on only when
/// it is larger by at least 1, so the survivor is the first of the largest; with [`Tie::Last`] also
/// when both are equal, so it is the last. By induction this holds for the whole list.
fn knockout(cx: &mut Lowering<'_>, mut round: Vec<Entry>, tie: Tie) -> Result<Num, LowerError> {
    while round.len() > 2 {
        let mut next = Vec::with_capacity(round.len().div_ceil(2));
        for pair in round.chunks(2) {
            next.push(match pair {
                [left, right] => {
                    let right_wins = right_wins(cx, left, right, tie)?;
                    let index =
                        select(cx, "arg-max-index", &right_wins, &right.index, &left.index)?;
                    let value =
                        select(cx, "arg-max-value", &right_wins, &right.value, &left.value)?;
                    // The larger of the two is at least the lower end of either.
                    let lo = left.value.lo().max(right.value.lo());
                    let hi = value.hi();
                    let value = value.narrowed(lo, hi);
                    Entry { value, index }
                }
                other => other.first().cloned().ok_or_else(|| nothing(cx))?,
            });
        }
        round = next;
    }
    match round.as_slice() {
        [left, right] => {
            let right_wins = right_wins(cx, left, right, tie)?;
            select(cx, "arg-max-index", &right_wins, &right.index, &left.index)
        }
        [only] => Ok(only.index.clone()),
        _ => Err(nothing(cx)),
    }
}

/// A number that is still in the knockout, and where it came from.
#[derive(Debug, Clone)]
struct Entry {
    value: Num,
    index: Num,
}

/// Which numbers some value inside the intervals makes the winner: all but those that are always
/// below another one, or never above one that wins the tie.
fn can_win(of: &[Num], tie: Tie) -> impl Iterator<Item = bool> + '_ {
    let highest_lo = of.iter().map(Num::lo).max();
    let is_highest = move |num: &Num| Some(num.lo()) == highest_lo;
    let champion = match tie {
        Tie::First => of.iter().position(is_highest),
        Tie::Last => of.iter().rposition(is_highest),
    };
    of.iter().enumerate().map(move |(at, num)| {
        Some(num.hi()) > highest_lo
            || Some(num.hi()) == highest_lo && {
                let at = Some(at);
                match tie {
                    Tie::First => at <= champion,
                    Tie::Last => at >= champion,
                }
            }
    })
}

fn right_wins(
    cx: &mut Lowering<'_>,
    left: &Entry,
    right: &Entry,
    tie: Tie,
) -> Result<Num, LowerError> {
    let lead = Num::linear(cx, [(1, &right.value), (-1, &left.value)], 0)?;
    let least = match tie {
        Tie::First => 1,
        Tie::Last => 0,
    };
    at_least(cx, &lead, least)
}

fn nothing(cx: &Lowering<'_>) -> LowerError {
    LowerError::IntervalUnfit {
        path: cx.path("arg-max"),
        lo: 0,
        hi: -1,
        bits: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fr;
    use crate::num::Signal;
    use crate::testing::{Setting, Subject};

    fn built(tie: Tie) -> impl Fn(&mut Lowering<'_>, &[Num]) -> Result<Vec<Signal>, LowerError> {
        move |cx, x| Ok(vec![arg_max(cx, x, tie)?.to_signal(cx)])
    }

    fn position(values: &[i64], tie: Tie) -> Option<Vec<Fr>> {
        let largest = values.iter().max()?;
        let index = match tie {
            Tie::First => values.iter().position(|v| v == largest)?,
            Tie::Last => values.iter().rposition(|v| v == largest)?,
        };
        Some(vec![Fr::from(index as u64)])
    }

    /// All checks; the search for what each single constraint holds with bits only, since with
    /// lookups all constraints are those of maxima and limbs, which are searched where they are
    /// made.
    fn check<'g>(subject: Subject<'g>, points: &[Vec<i64>]) -> Subject<'g> {
        subject.check_honest(points).unwrap();
        subject.check_mutations(points).unwrap();
        subject.check_rank(points).unwrap();
        let settings = subject.settings.clone();
        let plain = subject.in_setting(Setting::plain());
        plain.check_removals(points).unwrap();
        Subject { settings, ..plain }
    }

    fn all(n: u32, lo: i64, hi: i64) -> Vec<Vec<i64>> {
        let base = hi - lo + 1;
        (0..base.pow(n))
            .map(|code| (0..n).map(|d| lo + code / base.pow(d) % base).collect())
            .collect()
    }

    #[test]
    fn arg_max_is_sound() {
        for tie in [Tie::First, Tie::Last] {
            for (n, lo, hi) in [(2, 0, 3), (2, -2, 1), (3, 0, 2), (4, -1, 0), (5, 0, 1)] {
                let build = built(tie);
                let expected = |v: &[i64]| position(v, tie);
                let inputs = vec![(lo, hi); n as usize];
                let subject = Subject::new("arg-max", &inputs, &build, &expected);
                let points = all(n, lo, hi);
                let subject = check(subject, &points);
                assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
            }
        }
    }

    #[test]
    fn unequal_intervals_decide_where_they_can() {
        for tie in [Tie::First, Tie::Last] {
            for inputs in [
                [(0, 3), (3, 5), (-1, 0)],
                [(5, 5), (0, 5), (1, 7)],
                [(0, 1), (4, 9), (4, 4)],
                [(2, 2), (2, 2), (2, 2)],
            ] {
                let build = built(tie);
                let expected = |v: &[i64]| position(v, tie);
                let subject = Subject::new("arg-max", &inputs, &build, &expected);
                let range = |at: usize| inputs[at].0..=inputs[at].1;
                let mut points = Vec::new();
                for a in range(0) {
                    for b in range(1) {
                        points.extend(range(2).map(|c| vec![a, b, c]));
                    }
                }
                let subject = check(subject, &points);
                assert_eq!(subject.check_all_solutions(&points).unwrap(), points.len());
            }
        }
    }

    #[test]
    fn three_numbers_with_and_without_each_constraint() {
        for tie in [Tie::First, Tie::Last] {
            let build = built(tie);
            let expected = |v: &[i64]| position(v, tie);
            let subject = Subject::new("arg-max", &[(0, 15); 3], &build, &expected);
            let points = [[15, 0, 15], [0, 15, 15], [7, 7, 7], [1, 3, 2], [0, 1, 0]];
            check(subject, &points.map(|p| p.to_vec()));
        }
    }

    #[test]
    fn ten_bytes_and_ten_logits() {
        let logit = (i64::from(i32::MIN), i64::from(i32::MAX));
        for ((lo, hi), cost) in [((0, 255), 93), (logit, 309)] {
            for tie in [Tie::First, Tie::Last] {
                let build = built(tie);
                let expected = |v: &[i64]| position(v, tie);
                let inputs = [(lo, hi); 10];
                let subject = Subject::new("arg-max", &inputs, &build, &expected);
                assert_eq!(subject.constraints().unwrap(), cost);
                let mut points: Vec<Vec<i64>> = (0..10)
                    .map(|at| (0..10).map(|i| if i == at { hi } else { lo }).collect())
                    .collect();
                points.push(vec![lo; 10]);
                points.push(vec![hi; 10]);
                points.push((0..10).map(|i| 100 - (i - 4) * (i - 5)).collect());
                subject.check_honest(&points).unwrap();
                let last = points.split_off(12);
                subject.check_mutations(&last).unwrap();
                subject.check_rank(&last).unwrap();
            }
        }
    }

    #[test]
    fn the_interval_of_an_index_is_that_of_the_numbers() {
        let interval = |tie| {
            move |cx: &mut Lowering<'_>, x: &[Num]| {
                let index = arg_max(cx, x, tie)?;
                assert_eq!((index.lo(), index.hi()), (0, 2));
                Ok(vec![index.to_signal(cx)])
            }
        };
        for tie in [Tie::First, Tie::Last] {
            let build = interval(tie);
            let expected = |v: &[i64]| position(v, tie);
            let subject = Subject::new("arg-max", &[(0, 9); 3], &build, &expected);
            subject
                .check_honest(&[vec![3, 9, 9], vec![0, 0, 0]])
                .unwrap();
        }
    }

    #[test]
    fn one_number_is_the_largest_and_none_is_refused() {
        let build = built(Tie::First);
        let expected = |v: &[i64]| position(v, Tie::First);
        let one = Subject::new("arg-max", &[(-9, 9)], &build, &expected);
        assert_eq!(one.constraints().unwrap(), 0);
        one.check_honest(&[vec![-9], vec![9]]).unwrap();
        assert!(
            Subject::new("arg-max", &[], &build, &expected)
                .constraints()
                .is_err()
        );
    }
}
