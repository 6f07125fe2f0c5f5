//! Adapters of the port [`crate::runs::store::RunStore`].

pub mod memory;
