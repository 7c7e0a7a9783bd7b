"""The Lab: experiments on the ideas of multimodal learning."""
