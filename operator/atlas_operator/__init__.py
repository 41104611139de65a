"""The cluster side: gathers manifests from pods, logs them, and judges deployments. Nothing of it is built yet."""
