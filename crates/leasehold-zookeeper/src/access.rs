//! Who may do what with the nodes that are created.
//!
//! A node is its creator's alone where the session has said who it is, and everybody's otherwise. What is created *above* the
//! namespace is nobody's in particular: everybody may list it and create beside us, and nobody but its creator may change or delete it.

use zookeeper_client::{Acl, Acls, AuthId, Permission};

/// Who may do what with the nodes that are created.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    own: Vec<Acl>,
    above: Vec<Acl>,
}

impl Access {
    /// Everything to everybody.
    pub(crate) fn open() -> Self {
        let everybody = Acl::new(Permission::ALL, AuthId::anyone());
        Self { own: vec![everybody.clone()], above: vec![everybody] }
    }

    /// Everything to the creator, and to these.
    pub(crate) fn creator_and(others: &[(String, String)]) -> Self {
        let all = |id| Acl::new(Permission::ALL, id);
        let others = others.iter().map(|(scheme, id)| all(AuthId::new(scheme, id)));
        let own: Vec<_> = std::iter::once(all(AuthId::authed())).chain(others).collect();
        let mut above = own.clone();
        above.push(Acl::new(Permission::READ | Permission::CREATE, AuthId::anyone()));
        Self { own, above }
    }

    /// Of the namespace and what is in it.
    pub(crate) fn own(&self) -> Acls<'_> {
        Acls::new(&self.own)
    }

    /// Of what is missing above.
    pub(crate) fn above(&self) -> Acls<'_> {
        Acls::new(&self.above)
    }
}
