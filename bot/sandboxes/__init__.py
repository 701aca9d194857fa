"""The control plane: what a sandbox is, stands here; `SandboxManager` is the one that changes it."""
