//! Every suite of the testkit, over a real server for each case. It takes the arguments of a test binary of cargo.

mod world;

fn main() -> std::process::ExitCode {
    // What the backend declares is asked of one that connects to nothing.
    leasehold_testkit::conformance::main(&world::connect("127.0.0.1:1"), world::postgres)
}
