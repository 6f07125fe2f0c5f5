//! Pairs expected with actual calls, as many as possible. `same(e, a)` says whether two calls may be paired.

use std::collections::VecDeque;

/// With more possible pairs than this, calls are paired greedily instead of optimally, to bound time and memory.
pub(super) const OPTIMAL_PAIRS: usize = 1_000_000;

/// Pairs that are looked at in search of a better pairing, to bound time.
const SEARCH_STEPS: usize = 32 * OPTIMAL_PAIRS;

/// For each expected call the actual one, in the same order: a longest common subsequence.
pub(super) fn pair_in_order(
    rows: usize,
    columns: usize,
    same: &dyn Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    let mut partner = vec![None; rows];
    // A common front and a common back need no table, which is quadratic.
    let front = (0..rows.min(columns)).take_while(|at| same(*at, *at)).count();
    (0..front).for_each(|at| partner[at] = Some(at));
    let back = (0..rows.min(columns) - front).take_while(|at| same(rows - 1 - at, columns - 1 - at)).count();
    (1..=back).for_each(|at| partner[rows - at] = Some(columns - at));
    let (height, width) = (rows - front - back, columns - front - back);
    if height.saturating_mul(width) > OPTIMAL_PAIRS {
        let mut next = front;
        for (e, partner) in partner.iter_mut().enumerate().skip(front).take(height) {
            *partner = (next..front + width).find(|a| same(e, *a));
            next = partner.map_or(next, |a| a + 1);
        }
        return partner;
    }
    // best[e][a]: most pairs among the expected calls from e and the actual ones from a.
    let mut best = vec![vec![0u32; width + 1]; height + 1];
    for e in (0..height).rev() {
        for a in (0..width).rev() {
            let paired = if same(front + e, front + a) { best[e + 1][a + 1] + 1 } else { 0 };
            best[e][a] = paired.max(best[e + 1][a]).max(best[e][a + 1]);
        }
    }
    let (mut e, mut a) = (0, 0);
    while e < height && a < width {
        if same(front + e, front + a) && best[e][a] == best[e + 1][a + 1] + 1 {
            partner[front + e] = Some(front + a);
            (e, a) = (e + 1, a + 1);
        } else if best[e][a] == best[e + 1][a] {
            e += 1;
        } else {
            a += 1;
        }
    }
    partner
}

/// For each expected call an actual one of its own, as many pairs as possible.
///
/// With plain equality taking the first free call is optimal. With looser rules a call may fit several, and pairs are
/// rearranged along augmenting paths (maximum bipartite matching).
pub(super) fn pair_in_any_order(
    rows: usize,
    columns: usize,
    same: &dyn Fn(usize, usize) -> bool,
    is_exact: bool,
) -> Vec<Option<usize>> {
    let mut matching = Matching::greedy(rows, columns, same);
    if is_exact || rows.saturating_mul(columns) > OPTIMAL_PAIRS {
        return matching.partner;
    }
    let unpaired: Vec<usize> = (0..rows).filter(|e| matching.partner[*e].is_none()).collect();
    let mut steps = 0;
    for start in unpaired {
        if steps > SEARCH_STEPS {
            break;
        }
        steps += matching.augment(start, same);
    }
    matching.partner
}

struct Matching {
    /// For each expected call the actual one.
    partner: Vec<Option<usize>>,
    /// For each actual call the expected one.
    owner: Vec<Option<usize>>,
}

impl Matching {
    /// Gives each expected call the first free actual one that fits.
    fn greedy(rows: usize, columns: usize, same: &dyn Fn(usize, usize) -> bool) -> Self {
        let mut matching = Self { partner: vec![None; rows], owner: vec![None; columns] };
        for e in 0..rows {
            let free = (0..columns).find(|a| matching.owner[*a].is_none() && same(e, *a));
            matching.partner[e] = free;
            if let Some(a) = free {
                matching.owner[a] = Some(e);
            }
        }
        matching
    }

    /// Pairs the unpaired `start` too, if others can change partners for it; returns how many pairs were looked at.
    fn augment(&mut self, start: usize, same: &dyn Fn(usize, usize) -> bool) -> usize {
        let columns = self.owner.len();
        let mut steps = 0;
        // Breadth-first search for a free actual call; `reached_from` leads back to `start`.
        let mut reached_from: Vec<Option<usize>> = vec![None; columns];
        let mut queue = VecDeque::from([start]);
        while let Some(e) = queue.pop_front() {
            steps += columns;
            for a in 0..columns {
                if reached_from[a].is_some() || !same(e, a) {
                    continue;
                }
                reached_from[a] = Some(e);
                match self.owner[a] {
                    Some(other) => queue.push_back(other),
                    None => {
                        self.shift(a, &reached_from);
                        return steps;
                    }
                }
            }
        }
        steps
    }

    /// Gives a free actual call to the expected one that reached it, the partner that one leaves to the one before, and
    /// so on, up to the start of the search, which has no partner to leave.
    fn shift(&mut self, free: usize, reached_from: &[Option<usize>]) {
        let mut free = Some(free);
        while let Some(a) = free {
            let Some(e) = reached_from[a] else { break };
            free = self.partner[e];
            (self.partner[e], self.owner[a]) = (Some(a), Some(e));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Which of up to six expected calls fit which of up to six actual ones.
    fn fits() -> impl Strategy<Value = Vec<Vec<bool>>> {
        (0..6_usize, 0..6_usize).prop_flat_map(|(rows, columns)| {
            prop::collection::vec(prop::collection::vec(any::<bool>(), columns), rows)
        })
    }

    /// Most pairs there can be among the expected calls from `row` on, by trying everything.
    fn most(fits: &[Vec<bool>], row: usize, is_free: &dyn Fn(usize) -> bool, in_order: bool) -> usize {
        let Some(columns) = fits.get(row) else { return 0 };
        let mut best = most(fits, row + 1, is_free, in_order);
        for (column, is_fit) in columns.iter().enumerate() {
            if *is_fit && is_free(column) {
                let rest =
                    |later: usize| is_free(later) && if in_order { later > column } else { later != column };
                best = best.max(1 + most(fits, row + 1, &rest, in_order));
            }
        }
        best
    }

    fn check(fits: &[Vec<bool>], partner: &[Option<usize>], in_order: bool) -> Result<(), TestCaseError> {
        let pairs: Vec<_> = partner.iter().enumerate().filter_map(|(e, a)| Some((e, (*a)?))).collect();
        prop_assert!(pairs.iter().all(|(e, a)| fits[*e][*a]), "{pairs:?}");
        let mut actual: Vec<_> = pairs.iter().map(|(_, a)| *a).collect();
        if in_order {
            prop_assert!(actual.is_sorted(), "{pairs:?}");
        }
        actual.sort_unstable();
        actual.dedup();
        prop_assert_eq!(actual.len(), pairs.len(), "an actual call is paired twice");
        prop_assert_eq!(pairs.len(), most(fits, 0, &|_| true, in_order), "{:?}", fits);
        Ok(())
    }

    proptest! {
        #[test]
        fn pairs_in_order_are_as_many_as_brute_force_finds(fits in fits()) {
            let columns = fits.first().map_or(0, Vec::len);
            let partner = pair_in_order(fits.len(), columns, &|e, a| fits[e][a]);
            check(&fits, &partner, true)?;
        }

        #[test]
        fn pairs_in_any_order_are_as_many_as_brute_force_finds(fits in fits()) {
            let columns = fits.first().map_or(0, Vec::len);
            let partner = pair_in_any_order(fits.len(), columns, &|e, a| fits[e][a], false);
            check(&fits, &partner, false)?;
        }
    }
}
