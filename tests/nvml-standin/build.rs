//! Names the shared object as NVIDIA's is named, and keeps it mapped.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnvidia-ml.so.1");
    // The stand-in's threads run until the process ends, so `dlclose` must not unmap their code.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
