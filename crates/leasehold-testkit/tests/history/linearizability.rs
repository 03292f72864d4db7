//! The search against an independent one, on random histories of which about half have an order.

use fastrand::Rng;
use leasehold_testkit::history::wgl::{Linearizability, Model, Pending, linearizable};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Read(u8),
    Write(u8),
    CompareAndSet(u8, u8, bool),
}

struct Cell;

fn step(state: u8, operation: &Operation) -> Option<u8> {
    match *operation {
        Operation::Read(value) => (value == state).then_some(state),
        Operation::Write(value) => Some(value),
        Operation::CompareAndSet(old, new, done) => {
            ((old == state) == done).then_some(if done { new } else { state })
        }
    }
}

impl Model for Cell {
    type State = u8;
    type Operation = Operation;

    fn initial(&self) -> u8 {
        0
    }

    fn step(&self, state: &u8, operation: &Operation) -> Option<u8> {
        step(*state, operation)
    }
}

impl Specification for Cell {
    type State = u8;
    type Operation = Operation;

    fn init() -> u8 {
        0
    }

    fn apply(operation: &Operation, state: &u8) -> (bool, u8) {
        step(*state, operation).map_or((false, *state), |state| (true, state))
    }
}

/// Operations of some processes, each at a time; now and then one whose process never hears of it, and goes on as another.
fn random(rng: &mut Rng) -> Vec<Pending<Operation>> {
    let processes = rng.usize(1..5);
    let mut pending: Vec<Option<usize>> = vec![None; processes];
    let mut operations: Vec<Pending<Operation>> = Vec::new();
    let mut state = 0;
    for point in 0..rng.usize(4..32) {
        let process = &mut pending[rng.usize(0..processes)];
        if let Some(place) = process.take() {
            if rng.u8(0..8) > 0 {
                operations[place].end = Some(point);
            } else if !matches!(operations[place].operation, Operation::Write(_)) {
                operations.remove(place);
                let later = pending.iter_mut().flatten().filter(|other| **other > place);
                later.for_each(|other| *other -= 1);
            }
            continue;
        }
        *process = Some(operations.len());
        // Mostly what is true when it begins: with wild ones there hardly ever is an order.
        let (old, new) = (if rng.u8(0..8) > 0 { state } else { rng.u8(0..3) }, rng.u8(0..3));
        let operation = match rng.u8(0..3) {
            0 => Operation::Read(old),
            1 => Operation::Write(new),
            _ => Operation::CompareAndSet(old, new, rng.u8(0..8) > 0),
        };
        state = step(state, &operation).unwrap_or(state);
        operations.push(Pending { operation, begin: point, end: None });
    }
    // What is pending in the end and is not a write could not be judged without its answer.
    operations.retain(|pending| pending.end.is_some() || matches!(pending.operation, Operation::Write(_)));
    operations
}

/// The other search knows no lost answers: a write that returns after everything else does the same as one that never does.
fn other_verdict(operations: &[Pending<Operation>]) -> bool {
    let mut points = Vec::new();
    for (process, pending) in operations.iter().enumerate() {
        let end = pending.end.unwrap_or(usize::MAX - process);
        points.push((pending.begin, process, Action::Call(pending.operation)));
        points.push((end, process, Action::Response(pending.operation)));
    }
    points.sort_by_key(|(point, ..)| *point);
    let actions: Vec<_> = points.into_iter().map(|(_, process, action)| (process, action)).collect();
    actions.is_empty() || WGLChecker::<Cell>::is_linearizable(History::from_actions(actions))
}

#[test]
fn two_searches_agree() {
    let mut rng = Rng::with_seed(1);
    let mut holds = [0, 0];
    for round in 0..20_000 {
        let operations = random(&mut rng);
        let ours = linearizable(&Cell, &operations, 1_000_000);
        assert!(!matches!(ours, Linearizability::Undecided { .. }), "round {round}: {operations:?}");
        let ours = ours == Linearizability::Holds;
        assert_eq!(ours, other_verdict(&operations), "round {round}: {operations:?}");
        holds[usize::from(ours)] += 1;
    }
    assert!(holds.iter().all(|count| *count > 4_000), "{holds:?}");
}

#[test]
fn lost_answers_do_not_double_the_search() {
    let mut operations = Vec::new();
    for number in 0..200 {
        let begin = 10 * usize::from(number);
        operations.push(Pending { operation: Operation::Write(number), begin, end: None });
        operations.push(Pending { operation: Operation::Write(255), begin: begin + 1, end: Some(begin + 2) });
        operations.push(Pending {
            operation: Operation::Read(if number % 2 == 0 { number } else { 255 }),
            begin: begin + 3,
            end: Some(begin + 4),
        });
    }
    assert_eq!(linearizable(&Cell, &operations, 10_000), Linearizability::Holds);
    operations.push(Pending { operation: Operation::Read(0), begin: 9_000, end: Some(9_001) });
    assert_eq!(linearizable(&Cell, &operations, 10_000), Linearizability::Broken { operation: 600 });
}

#[test]
fn a_search_that_is_too_large_is_given_up() {
    let begin = |operation, begin| Pending { operation, begin, end: Some(100 + begin) };
    let operations: Vec<_> = (0..20).map(|number| begin(Operation::Write(number as u8), number)).collect();
    assert_eq!(linearizable(&Cell, &operations, 1_000), Linearizability::Undecided { operation: 0 });
}
