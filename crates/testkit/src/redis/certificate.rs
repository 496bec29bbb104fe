//! A CA and a server's certificate that it signed, made by `openssl`.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

pub(super) const CA: &str = "ca.crt";
pub(super) const CERTIFICATE: &str = "server.crt";
pub(super) const KEY: &str = "server.key";

/// Writes the three files into the folder. The certificate is for that address and for localhost.
pub(super) fn make(folder: &Path, address: Ipv4Addr) {
    let names = format!("subjectAltName=IP:{address},DNS:localhost");
    openssl(folder, &["-x509", "-subj", "/CN=A test's CA", "-keyout", "ca.key", "-out", CA]);
    openssl(
        folder,
        &[
            // A leaf: strict clients refuse a CA's own certificate as a server's.
            "-x509",
            "-CA",
            CA,
            "-CAkey",
            "ca.key",
            "-subj",
            "/CN=redis",
            "-addext",
            &names,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "extendedKeyUsage=serverAuth",
            "-keyout",
            KEY,
            "-out",
            CERTIFICATE,
        ],
    );
}

fn openssl(folder: &Path, args: &[&str]) {
    let output = Command::new("openssl")
        .args(["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2"])
        .args(args)
        .current_dir(folder)
        .output()
        .expect("openssl can be run");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl made no certificate: {words}");
}
