//! Which public keys open a login. The good ones were made by `ssh-keygen`; those of security keys were put together by hand.
#![allow(clippy::unwrap_used, reason = "a test may fail")]
use cairn_compute::check_public_key;

const GOOD: [&str; 7] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINlgfJDphw9fKkdtHdaOIbUuQKgFsNkvqa8W3Byll6Gp",
    "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJ5bcsMcZlILGLwxV7d81/vNOsr4hfS\
     am0snM/vNquSlrpJ/sHrav5KqeG0T3sjqBzNM/5Bfp7sVzdCpVVhQtHs=",
    "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBO/Ppu5WlG9KNrBWzyP0yRJALkA0p/u\
     k3iUMOR1TCQv9IKggdNMNfxQskYzy1K2O4LcfiFrL3uzxpF47wGNpTA6RRA1PRaEitFaL+A+KM3OxtDTzEcLpUz89+nIBM92/8w==",
    "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAB8CIwzAaeiDyEYKp7YmsWChW+GDro\
     JPclcyMsyIUWCLj0ku0avPVmzSRuLOzj8FE26J1u691zNwplejvtHNwC+HAD4hcFnceKtjvraReJVJ6Oj1hfh85h8UML5eIiuM1wbdE\
     qZBADPKfX0uuCphfPyNP8Qke+FPyjur77YpULu2yLiHw==",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCkTQ7Uzvc9LApZLmr84oYiLzf35R1+K3DdBMZWlXaov6pGZslpQoBCkiaFS6UOGGw\
     kmyGf8S/hq0H8eLBwPwYsxJFP3d8YCERwV82EKc57NijFC7ElOGg7grPlqZyt7mt3JgHLOJY85u5K/PMGfzUL0y7BsyHxLSSAUYEo98\
     banePtTR5fNVVWMafM7W6bleGbIGl8RB3USQRe9ZOcm54viwC0DK7X28V7CSqEwsZePnD9zreCwDYLto/I8JBh+FKMy7PHZmadw6Bnb\
     opWzpVgtjclBKbxUQOKRJ37Vd3T9ZUHNGtocu5iPyEZ0v3kao8irUna0j50GRrqT4r1uKWx",
    "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAINlgfJDphw9fKkdtHdaOIbUuQKgFsNkv\
     qa8W3Byll6GpAAAABHNzaDo=",
    "sk-ecdsa-sha2-nistp256@openssh.com AAAAInNrLWVjZHNhLXNoYTItbmlzdHAyNTZAb3BlbnNzaC5jb20AAAAIbmlzdHAyNTYA\
     AABBBJ5bcsMcZlILGLwxV7d81/vNOsr4hfSam0snM/vNquSlrpJ/sHrav5KqeG0T3sjqBzNM/5Bfp7sVzdCpVVhQtHsAAAAEc3NoOg=\
     =",
];
const RSA_1024: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQCiBPsSQSIYv1NafNlnIw58pblKNOp9GJAC50z4/pqXWvtuSay7L+V4ypBCYCleFCs\
     IL4vuLP39CarJc8IW0sMrITgggrFG2mMf17j+y//9ZMQ5X3wJ+tTIiP2wnWyRHfYA5UPsGQ3OLHnR4GREU4rk9XuubqNsSIvOhj783J\
     Yr0Q==";
const ED25519: &str = GOOD[0];

fn accepted(key: &str) -> bool {
    check_public_key(key).is_ok()
}

#[test]
fn keys_of_every_kind_that_sshd_takes_are_taken() {
    for key in GOOD {
        assert!(accepted(key), "{key}");
    }
}

#[test]
fn a_key_under_the_name_of_another_kind_is_refused() {
    for (number, key) in GOOD.into_iter().enumerate() {
        let body = key.split_once(' ').unwrap().1;
        for (other, named) in GOOD.into_iter().enumerate() {
            let kind = named.split_once(' ').unwrap().0;
            assert_eq!(accepted(&format!("{kind} {body}")), number == other, "{kind} {body}");
        }
    }
}

#[test]
fn a_key_cut_short_anywhere_is_refused() {
    for key in GOOD {
        for length in 0..key.len() {
            assert!(!accepted(&key[..length]), "{}", &key[..length]);
        }
    }
}

#[test]
fn a_key_with_something_after_it_is_refused() {
    for more in ["AAAA", " comment", "\n", "=", "\ncommand=\"sh\" ssh-ed25519 AAAA"] {
        assert!(!accepted(&format!("{ED25519}{more}")), "{more:?}");
    }
}

#[test]
fn an_rsa_key_that_sshd_finds_too_short_is_refused() {
    assert!(!accepted(RSA_1024));
}

#[test]
fn what_is_no_key_is_refused() {
    let odd = [
        "",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "ssh-dss AAAAB3NzaC1kc3M=",
        "command=\"sh\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA\u{ff21}A==",
        "ssh-ed25519 //////////8=",
    ];
    for key in odd {
        assert!(!accepted(key), "{key:?}");
    }
}
