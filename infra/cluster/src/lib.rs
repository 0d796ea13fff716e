//! cairn-cluster
