//! Where runs are kept: adapters of the port [`crate::runs::store::RunStore`].

pub mod memory;
pub mod postgres;
