"""Networks that judge how alike pictures and clips look."""
