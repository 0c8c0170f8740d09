"""SimVP: a network of convolutions alone, and its second version with gated spatiotemporal attention."""
