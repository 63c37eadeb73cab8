import json
import unittest

from api.app import app


class Api(unittest.TestCase):
    def test_products_are_listed_with_their_prices(self):
        environ = {"PATH_INFO": "/products", "REQUEST_METHOD": "GET"}
        body = b"".join(app(environ, lambda status, headers, *_: None))
        self.assertIn({"name": "cup", "price": "4.75"}, json.loads(body)["products"])
