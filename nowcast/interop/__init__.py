"""Bridges to other packages of nowcasting."""
