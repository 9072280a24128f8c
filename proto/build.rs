//! Compiles the contract without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "event", "uplink", "incident", "fleet", "change", "shadow", "signal", "silence", "slo",
        "topology", "work", "oncall",
    ]
    .map(|name| format!("gpuwarden/v1/{name}.proto"));
    println!("cargo:rerun-if-changed=gpuwarden");
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure().bytes(".gpuwarden.v1.OutboxEntry").compile_fds(descriptors)?;
    Ok(())
}
