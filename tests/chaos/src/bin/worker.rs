//! A worker process: `leasehold-chaos-worker PLAN`, the plan as JSON. See [`leasehold_chaos::worker`].

use std::error::Error;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [plan] = arguments.as_slice() else { return Err("usage: leasehold-chaos-worker PLAN".into()) };
    leasehold_chaos::worker::run(serde_json::from_str(plan)?).await
}
