//! Runs seeds.
fn main() {
    let mut args = std::env::args().skip(1);
    let from: u64 = args.next().unwrap().parse().unwrap();
    let to: u64 = args.next().unwrap().parse().unwrap();
    let verbose = args.next().is_some();
    let start = std::time::Instant::now();
    let mut counts = leasehold_simulation::Counts::new();
    for seed in from..to {
        let plan = leasehold_simulation::Plan::of(seed);
        if verbose { println!("{plan:#?}"); }
        let out = leasehold_simulation::run(&plan, verbose);
        for l in &out.lines { println!("{l}"); }
        for (k, v) in &out.counts { *counts.entry(k).or_default() += v; }
        for v in out.violations.iter().take(2) { println!("seed {seed}: {v}"); }
        if seed % 7 == 0 && leasehold_simulation::run(&plan, false).hash != out.hash { println!("seed {seed}: not deterministic"); }
    }
    println!("{counts:?} {:?}", start.elapsed());
}
