//! The conformance suites of the contract, the mutex and the other recipes, on the memory backend.

use std::sync::Arc;

use leasehold_testkit::contract::{MemoryWorld, World};

async fn memory() -> Arc<dyn World> {
    Arc::new(MemoryWorld::new())
}

mod contract {
    use super::memory;

    leasehold_testkit::contract_suite!(memory);
}

mod mutex {
    use super::memory;

    leasehold_testkit::mutex_suite!(memory);
}

mod recipes {
    use super::memory;

    leasehold_testkit::recipe_suites!(memory);
}
