//! Puts a stream back in order, for as long as a few packets can tell. Pure, and indifferent to
//! what it carries.
//!
//! A packet that is missing is waited for until a number of later ones are there; then it counts
//! as lost. There is no time in it: who plays live does not want to wait at all, and who records
//! only wants the order.

use std::collections::BTreeMap;

/// A jump that is no loss any more: the numbers may have begun anew.
const MAX_JUMP: u16 = 3000;
/// How far behind a number is late, and not one of a new beginning.
const MAX_LATE: u16 = 100;

/// A buffer of packets by their numbers.
#[derive(Debug)]
pub struct Reorder<T> {
    /// Most packets held back.
    depth: usize,
    /// The number that is due, extended beyond 16 bits.
    due: Option<u64>,
    held: BTreeMap<u64, T>,
    /// A packet far from what is due: the next number after it would confirm a new beginning.
    stray: Option<(u16, T)>,
}

impl<T> Reorder<T> {
    /// Holds back `depth` packets at most.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self {
            depth,
            due: None,
            held: BTreeMap::new(),
            stray: None,
        }
    }

    /// Takes a packet and gives those whose turn it is, in order. One that comes twice or too late
    /// is dropped.
    pub fn push(&mut self, number: u16, item: T) -> Vec<T> {
        let Some(due) = self.due else {
            // Room below, for the arithmetic only: what comes before the first is late.
            self.due = Some(u64::from(number) + (1 << 16) + 1);
            return vec![item];
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the lower half is the number on the wire"
        )]
        let ahead = number.wrapping_sub(due as u16);
        if ahead < MAX_JUMP {
            self.stray = None;
            // Of two with one number, the first counts.
            self.held.entry(due + u64::from(ahead)).or_insert(item);
            return self.ripe(due);
        }
        if ahead.wrapping_neg() <= MAX_LATE {
            return Vec::new();
        }
        match self.stray.take() {
            Some((before, stray)) if before.wrapping_add(1) == number => {
                let mut all = self.flush();
                all.extend([stray, item]);
                self.due = Some(u64::from(number) + (1 << 16) + 1);
                all
            }
            _ => {
                self.stray = Some((number, item));
                Vec::new()
            }
        }
    }

    /// What is due, and what was held back for too long.
    fn ripe(&mut self, mut due: u64) -> Vec<T> {
        let mut all = Vec::new();
        while let Some(entry) = self.held.first_entry() {
            if *entry.key() != due && self.held.len() <= self.depth {
                break;
            }
            if let Some((number, item)) = self.held.pop_first() {
                due = number + 1;
                all.push(item);
            }
        }
        self.due = Some(due);
        all
    }

    /// Whether something is held back.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// Gives what is held back, in order: nothing more is waited for.
    pub fn flush(&mut self) -> Vec<T> {
        let held = std::mem::take(&mut self.held);
        if let Some((last, _)) = held.last_key_value() {
            self.due = Some(last + 1);
        }
        held.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(depth: usize, numbers: impl IntoIterator<Item = u16>) -> Vec<u16> {
        let mut reorder = Reorder::new(depth);
        let mut all = Vec::new();
        for number in numbers {
            all.extend(reorder.push(number, number));
        }
        all.extend(reorder.flush());
        all
    }

    #[test]
    fn order_is_restored_within_the_depth() {
        for (come, go) in [
            (&[][..], &[][..]),
            (&[1, 2, 3], &[1, 2, 3]),
            (&[1, 3, 2, 4], &[1, 2, 3, 4]),
            (&[1, 3, 4, 2], &[1, 2, 3, 4]),
            // Three are held back for 2; then it is lost, and late when it comes.
            (&[1, 3, 4, 5, 2, 6], &[1, 3, 4, 5, 6]),
            (&[1, 1, 3, 3, 2, 2], &[1, 2, 3]),
            (&[65_534, 0, 65_535, 1], &[65_534, 65_535, 0, 1]),
            // What comes before the first is late.
            (&[5, 4, 6], &[5, 6]),
            // One far away is rubbish, two are a new beginning, and none of what was held is lost.
            (&[1, 30_000, 2], &[1, 2]),
            (
                &[1, 3, 30_000, 30_001, 30_002],
                &[1, 3, 30_000, 30_001, 30_002],
            ),
        ] {
            assert_eq!(run(2, come.iter().copied()), go, "{come:?}");
        }
    }

    /// Numbers in order, some missing, some twice, each at most `depth` places from its own.
    fn disordered(depth: usize) -> impl Strategy<Value = (Vec<u16>, Vec<u16>)> {
        let one = (0..=2_usize, 0..=depth);
        (any::<u16>(), prop::collection::vec(one, 1..200)).prop_map(|(first, all)| {
            let mut want = vec![first];
            let mut come = Vec::new();
            for (n, (times, late)) in all.into_iter().enumerate() {
                let number = first.wrapping_add(u16::try_from(n + 1).unwrap());
                if times > 0 {
                    want.push(number);
                }
                come.extend((0..times).map(|time| (n + late * (1 + time), number)));
            }
            come.sort_by_key(|(place, _)| *place);
            let come = come.into_iter().map(|(_, number)| number);
            (std::iter::once(first).chain(come).collect(), want)
        })
    }

    proptest! {
        #[test]
        fn what_is_disordered_less_than_the_depth_comes_out_complete_and_in_order(
            (come, want) in disordered(4)
        ) {
            prop_assert_eq!(run(8, come), want);
        }

        #[test]
        fn whatever_comes_goes_once_and_few_are_held(
            numbers in prop::collection::vec(any::<u16>(), 0..300),
            depth in 0..10_usize,
        ) {
            let mut reorder = Reorder::new(depth);
            let count = numbers.len();
            let mut all: Vec<usize> = Vec::new();
            for (n, number) in numbers.into_iter().enumerate() {
                all.extend(reorder.push(number, n));
                prop_assert!(reorder.held.len() <= depth);
            }
            all.extend(reorder.flush());
            let unique: std::collections::BTreeSet<usize> = all.iter().copied().collect();
            prop_assert_eq!(unique.len(), all.len());
            prop_assert!(all.len() <= count);
        }

        #[test]
        fn near_numbers_go_in_order(numbers in prop::collection::vec(0..90_u16, 0..200), depth in 0..10_usize) {
            let all = run(depth, numbers);
            prop_assert!(all.is_sorted_by(|a, b| a < b), "{:?}", all);
        }
    }
}
