//! Pairs expected with actual calls, as many as possible, given which may be paired.

use std::collections::VecDeque;

/// Above this many pairs calls are paired greedily instead of optimally, to bound time and memory.
pub(super) const OPTIMAL_PAIRS: usize = 1_000_000;

/// How many pairs are looked at in search of a better pairing before the one at hand is taken.
const SEARCH_STEPS: usize = 32 * OPTIMAL_PAIRS;

/// For each expected call the actual one: a longest common subsequence.
pub(super) fn pair_in_order(
    rows: usize,
    columns: usize,
    same: &dyn Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    let mut partner = vec![None; rows];
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
/// Equal calls are interchangeable, so taking the first free one is optimal; with looser rules a call may fit
/// several, and pairs are rearranged along augmenting paths.
pub(super) fn pair_in_any_order(
    rows: usize,
    columns: usize,
    same: &dyn Fn(usize, usize) -> bool,
    is_exact: bool,
) -> Vec<Option<usize>> {
    let mut partner = vec![None; rows];
    let mut owner: Vec<Option<usize>> = vec![None; columns];
    for (e, partner) in partner.iter_mut().enumerate() {
        *partner = (0..columns).find(|a| owner[*a].is_none() && same(e, *a));
        if let Some(a) = *partner {
            owner[a] = Some(e);
        }
    }
    if is_exact || rows.saturating_mul(columns) > OPTIMAL_PAIRS {
        return partner;
    }
    let unpaired: Vec<usize> = (0..rows).filter(|e| partner[*e].is_none()).collect();
    let mut steps = 0;
    for start in unpaired {
        if steps > SEARCH_STEPS {
            break;
        }
        // Breadth-first search for a free actual call; `reached_from` leads back to `start`.
        let mut reached_from: Vec<Option<usize>> = vec![None; columns];
        let mut queue = VecDeque::from([start]);
        'search: while let Some(e) = queue.pop_front() {
            steps += columns;
            for a in 0..columns {
                if reached_from[a].is_some() || !same(e, a) {
                    continue;
                }
                reached_from[a] = Some(e);
                if let Some(other) = owner[a] {
                    queue.push_back(other);
                    continue;
                }
                let mut free = Some(a);
                while let Some(a) = free {
                    let Some(e) = reached_from[a] else { break };
                    free = partner[e];
                    (partner[e], owner[a]) = (Some(a), Some(e));
                    if e == start {
                        break;
                    }
                }
                break 'search;
            }
        }
    }
    partner
}
