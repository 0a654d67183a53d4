//! Decides what may be done with a model: facts and a request in, a decision
//! out. Policies are Cedar; approvals, exceptions, publishers and providers
//! are data beside them.
//!
//! [`decide`] reads no clock and no disk. Everything an author writes comes in
//! through [`Repository`], which says what is wrong by file and line.
#![forbid(unsafe_code)]

mod annotations;
mod approve;
mod assessment;
mod bundle;
mod cases;
mod data;
mod decide;
mod entities;
mod explain;
mod guard;
mod licence;
mod lint;
mod plan;
mod problem;
mod repository;
mod request;
mod set;
mod slice;
mod starter;

pub use approve::{Approved, NotApproved, approve};
pub use assessment::{Assessment, SignatureStatus};
pub use bundle::bundle;
pub use cases::{Outcome, TestRun, run_tests};
pub use data::{Approval, Data, Exception, Fleet, Provider, Publisher, Scope, TeamConfig};
pub use decide::decide;
pub use explain::{Condition, Explained, Explanation, explain};
pub use plan::{Change, Machine, Plan, plan};
pub use problem::{Level, Problem, Problems};
pub use repository::Repository;
pub use request::{Action, Context, PathClass, Principal, Recorded, Request, Resource};
pub use set::{PolicySet, SCHEMA_TEXT};
pub use starter::init;
pub use weighbridge_types::{Decision, Effect, Mode, Obligation, ObligationKind};

#[cfg(test)]
mod tests;
