"""HTML and SVG as elements, never as text put together: whatever a file's attribute holds is escaped on the way out."""

import math
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

Child = str | Element | None


def node(tag: str, *children: Child, **attributes: object) -> Element:
    """An element with text and elements inside.

    Args:
        tag: Its name.
        children: Text and elements in their order; None is left out.
        attributes: By name, `class_` for class and `aria_label` for aria-label; True is written without a value, and
            what is None or False not at all.
    """
    element = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            element.set(name.rstrip("_").replace("_", "-"), "" if value is True else str(value))
    for child in children:
        add(element, child)
    return element


def add(element: Element, child: Child) -> None:
    """Put text or an element at the end of an element."""
    if isinstance(child, Element):
        element.append(child)
    elif child is not None and len(element):
        element[-1].tail = (element[-1].tail or "") + child
    elif child is not None:
        element.text = (element.text or "") + child


def raw(tag: str, text: str, **attributes: object) -> Element:
    """A script or style element, whose text HTML takes as it stands: it must not hold its own end."""
    if f"</{tag}" in text.lower():
        raise ValueError(f"text of <{tag}> that ends it")
    return node(tag, text, **attributes)


def html(root: Element) -> str:
    """A whole document."""
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def number(value: float) -> Element:
    """A value to read, with all its digits in the `data` element around it."""
    return node("data", text_of(value), value=repr(float(value)))


def text_of(value: float) -> str:
    """Four significant digits or so; a dash where there is no value."""
    if math.isnan(value):
        return "–"
    size = abs(value)
    digits = 4 if size < 1 else 3 if size < 100 else 0 if size >= 1000 else 1
    return f"{value:.{digits}f}".replace("-", "−")


def table(caption: str, head: Sequence[Child], rows: Iterable[Sequence[Child]], class_: str | None = None) -> Element:
    """A table in a box of its own, in which it scrolls; the first cell of a row is its heading."""
    inner = node("table", node("caption", caption))
    top = SubElement(SubElement(inner, "thead"), "tr")
    top.extend(node("th", cell, scope="col") for cell in head)
    body = SubElement(inner, "tbody")
    for first, *cells in rows:
        row = SubElement(body, "tr")
        row.append(node("th", first, scope="row"))
        row.extend(cell if isinstance(cell, Element) and cell.tag == "td" else node("td", cell) for cell in cells)
    name = f"Table: {caption}"
    return node("div", inner, class_=f"scroll {class_ or ''}".strip(), tabindex=0, role="region", aria_label=name)
