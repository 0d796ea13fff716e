//! cairn-ssh
