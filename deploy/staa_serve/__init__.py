"""Start TorchServe, say when it is ready, and stop it without losing a request: `python -m staa_serve`."""
