//! One lock between ours and other languages' clients of ZooKeeper: Curator in Java, kazoo in Python.

mod deaths;
mod elections;
mod fixture;
mod mutexes;
mod peer;
mod refusals;
mod rw_locks;
mod semaphore_steps;
mod semaphores;
mod wrapped;
