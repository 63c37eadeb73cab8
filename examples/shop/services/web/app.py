from pathlib import Path

import bottle
import humanize
from catalog import products

app = bottle.Bottle()
PAGE = Path(__file__).with_name("page.html").read_text()


@app.get("/")
def page() -> str:
    found = products()
    return bottle.template(PAGE, products=found, count=humanize.apnumber(len(found)))
