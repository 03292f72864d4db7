//! What the cases stand on: a world, and the recipe that stands for the mutex.

use std::ops::Deref;
use std::sync::Arc;

use leasehold_core::Coordinator;

use super::exclusive::{Exclusive, Lock};
use crate::contract::World;
use crate::scene::{self, PATIENCE};

/// A world, and the recipe.
#[derive(Clone)]
pub(crate) struct Arena {
    world: Arc<dyn World>,
    exclusive: &'static dyn Exclusive,
}

impl Arena {
    pub(crate) fn new(world: Arc<dyn World>, exclusive: &'static dyn Exclusive) -> Self {
        Self { world, exclusive }
    }
}

impl Deref for Arena {
    type Target = dyn World;

    fn deref(&self) -> &Self::Target {
        &*self.world
    }
}

/// A scene whose nodes lock by the recipe.
pub(super) struct Scene {
    scene: scene::Scene,
    exclusive: &'static dyn Exclusive,
}

impl Deref for Scene {
    type Target = scene::Scene;

    fn deref(&self) -> &scene::Scene {
        &self.scene
    }
}

impl Scene {
    pub(super) fn new(arena: &Arena) -> Self {
        let Arena { world, exclusive } = arena;
        Self { scene: scene::Scene::of_kind(world, exclusive.kind()), exclusive: *exclusive }
    }

    /// A coordinator that was made by other means.
    pub(super) fn as_node(&self, coordinator: Coordinator) -> Node {
        Node { coordinator, exclusive: self.exclusive }
    }

    pub(super) fn exclusive(&self) -> &'static dyn Exclusive {
        self.exclusive
    }

    pub(super) async fn node(&self) -> Node {
        self.as_node(self.scene.node().await)
    }

    pub(super) async fn mortal(&self) -> Mortal {
        let mortal = self.scene.mortal().await;
        Mortal { coordinator: self.as_node(mortal.coordinator.clone()), mortal }
    }

    /// Makes what a service needs above the entries of a queue: the first enqueue of all may take several requests.
    pub(super) async fn warm_up(&self, name: &str) {
        let node = self.node().await;
        node.mutex(name).lock().await.expect("locked").release().await.expect("released");
        node.shutdown(PATIENCE).await.expect("nothing is held");
    }
}

/// A coordinator whose mutexes are of the recipe.
#[derive(Clone)]
pub(super) struct Node {
    coordinator: Coordinator,
    exclusive: &'static dyn Exclusive,
}

impl Node {
    pub(super) fn new(coordinator: Coordinator, exclusive: &'static dyn Exclusive) -> Self {
        Self { coordinator, exclusive }
    }

    pub(super) fn mutex(&self, name: impl AsRef<str>) -> Lock {
        Lock::new(self.exclusive, &self.coordinator, name.as_ref())
    }
}

impl Deref for Node {
    type Target = Coordinator;

    fn deref(&self) -> &Coordinator {
        &self.coordinator
    }
}

/// See [`scene::Scene::mortal`].
pub(super) struct Mortal {
    pub(super) coordinator: Node,
    mortal: scene::Mortal,
}

impl Mortal {
    pub(super) fn kill(&mut self) {
        self.mortal.kill();
    }
}
