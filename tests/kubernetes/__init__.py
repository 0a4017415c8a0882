"""A real cluster across networks: kubeadm's control plane and workers with kubelet and containerd, joined by gotunnel.

Not part of `make test`: the programs of Kubernetes are built from their source, which takes long. `make kubernetes`
does both; docs/en/kubernetes.md says what came of it.
"""
